"""The built wheel and source archive: what is in them, and that a study runs from the wheel's files alone."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from helpers import small

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]
ROOT = Path(__file__).parents[1]
STATIC = ROOT / "src/tuneoff/reporting/page/static"
BUILD = "import sys; from hatchling.build import *; build_wheel(sys.argv[1]); build_sdist(sys.argv[1])"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-c", BUILD, folder], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_a_wheel_has_the_code_the_data_and_the_licenses_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    studies = {f"tuneoff/spec/studies/{path.name}" for path in ROOT.glob("src/tuneoff/spec/studies/*.yaml")}
    model = ("config", "generation_config", "tokenizer", "tokenizer_config")
    data = {
        "tuneoff/py.typed",
        "tuneoff/tasks/builtin/general.txt",
        "tuneoff/reporting/templates/report.md.j2",
        "tuneoff/reporting/templates/page.html.j2",
        *(f"tuneoff/reporting/page/static/{path.name}" for path in STATIC.iterdir()),
        "tuneoff/models/tiny/model.safetensors",
        *(f"tuneoff/models/tiny/{name}.json" for name in model),
    }
    about = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
    (head,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert len(studies) >= 3
    assert set(wheel.namelist()) == sources | studies | data | {f"{head}/{name}" for name in about}


def test_a_source_archive_has_what_builds_and_tests_it_and_no_logs(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "NOTICE", "README.md", "pyproject.toml", "src/tuneoff/cli/__init__.py"} <= names
    assert {"tests/conftest.py", "docs/statistics.md", "pretraining/train.py"} <= names
    assert not [name for name in names if name.endswith((".jsonl", ".pyc"))]


def test_a_study_runs_from_the_files_of_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    site = tmp_path / "site"
    wheel.extractall(site)

    def done(*command: str) -> str:
        # the unpacked wheel comes before the sources that are installed here
        environment = os.environ | {"PYTHONPATH": str(site)}
        process = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (process.returncode, process.stderr) == (0, "")
        return process.stdout

    assert done("-c", "import tuneoff; print(tuneoff.__file__)") == f"{site / 'tuneoff' / '__init__.py'}\n"
    assert "quickstart: builtin:tiny on reviews, dialogues" in done("-m", "tuneoff", "studies")
    overrides = ("model.id=builtin:tiny", "ablations={}", "train_sizes=[8]", "training.max_steps=2")
    options = [part for override in overrides for part in ("--set", override)]
    out = done("-m", "tuneoff", "run", str(small.study(tmp_path)), "--out", "out", *options)
    assert "report: out/report/report.html" in out
    assert list((tmp_path / "out" / "report" / "plots").glob("*.png"))
