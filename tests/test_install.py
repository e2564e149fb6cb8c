"""What an installation needs: a report and its reader no package of the extra `train`."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers import small
from tuneoff.errors import InputError
from tuneoff.extras import TRAIN, require_train

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

_WITHOUT = '''
import json, sys
from tuneoff.extras import TRAIN

class NotInstalled:
    """The packages of the extra, as they are in an installation without it.

    None in `sys.modules` would do for all but scipy, which takes a key there for a module.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in TRAIN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled)
from helpers.command_line import tuneoff
from helpers.drawing import charts_left_blank
from tuneoff.spec import load_study

_, study, folder = sys.argv
commands = [["run", study], ["plan", study], ["status", folder], ["report", folder], ["studies"]]
with charts_left_blank():  # they are drawn in another process, which imports none of this
    told = {command[0]: tuneoff(*command) for command in commands}
print(json.dumps({**told, "study": load_study(study).name}))
'''


@pytest.mark.slow
@pytest.mark.subprocess
def test_without_the_extra_a_study_is_loaded_and_reported_but_not_run(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "out"))
    shutil.rmtree(folder / "report")
    study = small.study(tmp_path)
    command = [sys.executable, "-c", _WITHOUT, str(study), str(folder)]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    for name in ("run", "plan"):
        code, out, err = told[name]
        assert (code, out) == (2, "")
        needs = f"error: `tuneoff {name}` needs the packages of tuneoff[train]: pip install 'tuneoff[train]' "
        assert err == f"{needs}(missing: {', '.join(TRAIN)})\n"
    assert told["status"] == [0, "5 of 5 runs complete\n", ""]
    code, out, err = told["report"]
    assert (code, err) == (0, "")
    assert f"report: {(folder / 'report' / 'report.html').as_posix()}" in out
    assert list((folder / "report" / "plots").glob("*.png"))
    assert "quickstart: builtin:tiny" in told["studies"][1]
    assert told["study"] == "small"


def test_one_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_train("tuneoff run")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=r"pip install 'tuneoff\[train\]' \(missing: sentencepiece\)$"):
        require_train("tuneoff run")


def test_the_modules_of_the_extra_are_those_of_its_packages() -> None:
    packages = importlib.metadata.packages_distributions()
    own = {"google.protobuf": ["protobuf"]}  # its top-level name is shared
    found = {canonicalize_name(name) for module in TRAIN for name in own.get(module) or packages[module]}
    assert found == {one.name for one in _requirements(PROJECT["project"]["optional-dependencies"]["train"])}


def test_the_locked_versions_are_within_the_ranges() -> None:
    locked, project = _locked() | _locked("requirements-docs.lock"), PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for group in (*groups, *PROJECT["dependency-groups"].values()):
        for one in _requirements(group):
            assert locked[canonicalize_name(one.name)] in one.specifier, one


def test_what_locked_packages_need_is_locked_too() -> None:
    locked = _locked()
    # torch for GPUs needs packages that torch for CPUs lacks
    for name in locked.keys() - {"torch"}:
        for one in _requirements(importlib.metadata.requires(name) or []):
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                assert locked[canonicalize_name(one.name)] in one.specifier, f"{name}: {one}"


def test_no_package_is_locked_twice() -> None:
    assert not _locked().keys() & _locked("requirements-docs.lock").keys()


def _locked(name: str = "requirements.lock") -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def _requirements(group: Iterable[str]) -> Iterator[Requirement]:
    return map(Requirement, group)
