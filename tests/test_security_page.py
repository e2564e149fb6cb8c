"""SECURITY.md: what it names exists, and each direct dependency is listed with its license."""

import ast
import importlib.metadata
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def section(title: str) -> list[list[str]]:
    """The cells of each row of a section's table, without its head."""
    text = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


PROMISES = [row for row in section("Promises") if not row[0].startswith("**")]
NAMED = sorted({name for row in PROMISES for name in re.findall(r"`([^`]*::[^`]*)`", row[2])})


@cache
def names_in(file: str) -> set[str]:
    """The names of a file's tests, those of its classes too."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {name for name in functions if name.startswith("test_")}


def test_every_promise_has_code_and_a_test() -> None:
    assert len(PROMISES) > 25
    for promise, code, held_by in PROMISES:
        assert "`" in code and "::" in held_by, promise


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_holds_a_promise_exists(name: str) -> None:
    file, _, test = name.partition("::")
    assert test in names_in(file)


def test_the_code_that_keeps_a_promise_exists() -> None:
    for promise, code, _ in PROMISES:
        paths = re.findall(r"`([\w/]+(?:\.py|/))`", code)
        assert paths, promise
        for path in paths:
            assert (ROOT / "src" / "tuneoff" / path).exists(), path


def test_the_bounds_of_versions_that_promises_need_are_those_of_the_project() -> None:
    wanted = re.findall(r"\(`([\w-]+>=[\d.]+)`\)", PAGE)
    assert len(wanted) == 2
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    asked = {requirement.partition(",")[0] for group in groups for requirement in group}
    assert set(wanted) <= asked


def test_the_table_of_dependencies_has_each_direct_one_under_its_extra() -> None:
    listed = {
        extra.strip("`"): re.findall(r"([\w-]+) \(([^)]+)\)", packages)
        for extra, packages in section("Dependencies and their licenses")
    }
    groups = {"(none)": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    assert {extra: [name for name, _ in packages] for extra, packages in listed.items()} == {
        extra: [Requirement(one).name for one in group] for extra, group in groups.items()
    }


def stated(package: str) -> str:
    """What an installed package says of its license; "" if it is not installed, or says nothing."""
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classifiers = [one for one in metadata.get_all("Classifier") or [] if one.startswith("License")]
    fields = (metadata.get(name) or "" for name in ("License-Expression", "License"))
    return " ".join([*fields, *classifiers]).strip()


def test_licenses_are_of_the_family_that_the_packages_state() -> None:
    found = re.findall(r"([\w-]+) \((MIT|BSD|Apache)[^)]*\)", PAGE.partition("\n## Dependencies")[2])
    known = {name: text for name, _ in found if (text := stated(name))}
    assert len(known) > 10
    assert [name for name, family in found if name in known and family not in known[name]] == []
