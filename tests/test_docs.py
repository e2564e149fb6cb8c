"""The documentation: links lead somewhere, quoted messages exist, the site has every page."""

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from host_markdown import for_python_markdown, links, outside_of_code
from keys import keys_page, slug
from tuneoff.spec.methods import KINDS

ROOT = Path(__file__).parents[1]
FOLDERS = (".", "docs", "examples", "benchmarks", "pretraining")
PAGES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
STUBS = {"docs/keys.md", "docs/commands.md"}
"""Pages whose sections are made when the site is built, so that a code host has no anchors of them."""


def anchors(path: Path) -> set[str]:
    """The anchors that a code host gives to a page's headings."""
    lines = (line for line, plain in outside_of_code(path.read_text(encoding="utf-8")) if plain)
    titles = (line.lstrip("#").strip() for line in lines if re.match(r"#+ ", line))
    return {slug(re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title)) for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_of_the_repository(page: Path) -> None:
    for target in links(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.relative_to(ROOT).as_posix() not in STUBS:
            assert anchor in anchors(file), target


def messages() -> Iterator[str]:
    """All texts of the code, with `...` where values are filled in."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_message_that_the_questions_quote_exists() -> None:
    text = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    quoted = [line.removeprefix("> ") for line in text.splitlines() if line.startswith("> ")]
    assert len(quoted) > 20
    known = [one.replace("{{", "{").replace("}}", "}") for one in messages()]
    for message in quoted:
        # a value may be part of a longer one in the code: `...` stands for anything
        parts = [part.strip() for part in message.split("...") if part.strip(" ;:,.'`()")]
        assert any(in_order(parts, one) for one in known), message


def in_order(parts: list[str], text: str) -> bool:
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def test_the_site_has_every_page_once() -> None:
    class Loader(yaml.SafeLoader):
        """Takes the one tag of Python that the file has as plain text."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=Loader)["nav"]
    listed = list(leaves(nav))
    assert len(listed) == len(set(listed))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= set(listed)


def leaves(nav: object) -> Iterator[str]:
    """The pages of a navigation, a nest of lists and mappings."""
    match nav:
        case str():
            yield nav
        case list():
            for one in nav:
                yield from leaves(one)
        case dict():
            yield from leaves(list(nav.values()))


def test_the_page_of_keys_has_every_kind_and_all_its_keys() -> None:
    page = keys_page()
    for kind, spec in KINDS.items():
        _, found, section = page.partition(f"### kind: {kind}\n")
        assert found
        own = section.partition("\n#")[0]
        for name in spec.model_fields:
            assert name == "kind" or f"| `{name}` |" in own or f"| `{name}` |" in methods_of(page), (
                kind,
                name,
            )
    assert "| `max_steps` |" in page
    # a link to a section that there is
    titles = {slug(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
    assert set(re.findall(r"\(#([^)]*)\)", page)) <= titles


def methods_of(page: str) -> str:
    """The section of the keys that all methods have."""
    return page.partition("\n## methods\n")[2].partition("\n### ")[0]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs what `make docs` installs")
def test_the_site_is_built_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")}
    assert len(pages) > 25
    fetched = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")
    for name, page in pages.items():
        parts = [one for one in fetched.findall(page) if 'rel="canonical"' not in one]
        assert not parts, name
    # what is generated
    assert "--executor" in pages["commands.html"]
    assert "warmup_ratio" in pages["keys.html"]
    assert "load_method" in pages["python.html"]


def test_lists_become_those_of_python_markdown() -> None:
    text = "Words:\n- one\n  goes on\n\n  ```\n  - code\n  ```\n- two\nEnd"
    assert (
        for_python_markdown(text)
        == "Words:\n\n- one\n    goes on\n\n    ```\n    - code\n    ```\n\n- two\nEnd"
    )
