"""Output folders that are occupied, forbidden, full, or hold what nobody expects."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import children
from case import RUN, STUDY, Case, Change, write_study

REPORT, STATUS = ("report", "out"), ("status", "out")


def _folder(name: str) -> Change:
    return lambda place: (place / name).mkdir(parents=True)


def _file(name: str, content: bytes = b"") -> Change:
    def change(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)

    return change


def _link(name: str, target: str) -> Change:
    def change(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).symlink_to(target)

    return change


def _forbidden(name: str, mode: int) -> Change:
    def change(place: Path) -> None:
        (place / name).mkdir(parents=True)
        (place / name).chmod(mode)

    return change


def _pipe(name: str) -> Change:
    def change(place: Path) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(place / name)

    return change


def _another_study(place: Path) -> None:
    (place / "out").mkdir()
    write_study(place / "out", {**STUDY, "name": "another"})


IN_THE_WAY: Mapping[str, tuple[Change, str]] = {
    "a file for the folder": (_file("out"), "refused"),
    "a link to nothing": (_link("out", "nowhere"), "any"),
    "a link to itself": (_link("out", "out"), "refused"),
    "a link to another folder": (_link("out", "."), "any"),
    "a named pipe": (_pipe("out"), "refused"),
    "a device": (_link("out", "/dev/null"), "refused"),
    "a full device": (_link("out", "/dev/full"), "refused"),
    "an empty folder": (_folder("out"), "fine"),
    "a folder with other files": (_file("out/holiday.jpg", b"\xff\xd8"), "any"),
    "another study": (_another_study, "refused"),
    "a file for runs": (_file("out/runs"), "refused"),
    "a link to itself for runs": (_link("out/runs", "runs"), "refused"),
    "a file in runs": (_file("out/runs/note.txt", b"mine"), "any"),
    "a run's folder that is strange": (_folder("out/runs/strange"), "any"),
    "a run's folder that is no UTF-8": (_folder("out/runs/\udcff"), "any"),
    "a file that is no UTF-8": (_file("out/\udcff.txt"), "any"),
    "a folder for a record": (_folder("out/runs/x/record.json"), "any"),
    "an empty record": (_file("out/runs/x/record.json"), "any"),
    "a record of another tool": (_file("out/runs/x/record.json", b'{"loss": 1}'), "any"),
    "a folder for study.yaml": (_folder("out/study.yaml"), "refused"),
    "an empty study.yaml": (_file("out/study.yaml"), "fine"),
    "a broken study.yaml": (_file("out/study.yaml", b"name: ["), "fine"),
    "a pipe for study.yaml": (_pipe("out/study.yaml"), "refused"),
    "a link to itself for study.yaml": (_link("out/study.yaml", "study.yaml"), "any"),
    "a file for the report": (_file("out/report"), "any"),
    "a folder for report.md": (_folder("out/report/report.md"), "any"),
    "a file for the baselines": (_file("out/baselines"), "refused"),
    "an empty baseline": (_file("out/baselines/films.nfull/tfidf.json"), "any"),
    "a baseline of another tool": (_file("out/baselines/films.nfull/tfidf.json", b"{}"), "any"),
    "a folder for a baseline": (_folder("out/baselines/films.nfull/tfidf.json"), "any"),
    "a file for the search": (_file("out/search"), "any"),
    "a broken search": (_file("out/search/x/result.json", b"{"), "any"),
    "a folder for the lock": (_folder("out/.lock"), "refused"),
    "a file in the lock": (_file("out/.lock", b"someone"), "fine"),
    "a link to nothing for the lock": (_link("out/.lock", "nowhere/lock"), "refused"),
    "a temporary file that is a folder": (_folder("out/.study.yaml.new"), "any"),
    "no permission to write": (_forbidden("out", 0o500), "refused"),
    "no permission to read": (_forbidden("out", 0o300), "any"),
    "no permission at all": (_forbidden("out", 0), "refused"),
    "no permission for runs": (_forbidden("out/runs", 0), "refused"),
    "no permission to write runs": (_forbidden("out/runs", 0o500), "refused"),
    "no permission for the report": (_forbidden("out/report", 0), "any"),
    "no permission for the baselines": (_forbidden("out/baselines", 0), "refused"),
}
"""What lies in the way of `--out out`."""
PLACES: Mapping[str, tuple[str, str]] = {
    "nothing": ("", "any"),
    "spaces": (" ", "any"),
    "a NUL": ("a\0b", "refused"),
    "bytes that are no UTF-8": ("\udcff\udcfe", "any"),
    "half a surrogate that is no byte": ("\ud800", "refused"),
    "a name of 300 characters": ("x" * 300, "refused"),
    "a path of 5,000 folders": ("x/" * 5000, "refused"),
    "a path as long as one can be": ("/".join(["x" * 200] * 18), "any"),
    "a path through a file": ("study.yaml/out", "refused"),
    "the study's own folder": (".", "any"),
    "a device": ("/dev/null", "refused"),
    "the kernel's own files": ("/proc/self/out", "refused"),
    "the devices' own files": ("/sys/out", "refused"),
    "a user that is not there": ("~nobody-of-this-name", "any"),
    "an escape sequence": ("\x1b[31mred", "any"),
    "a line break": ("a\nb", "any"),
    "console markup": ("[v2]", "fine"),
    "console markup that closes": ("[/b]", "any"),
    "HTML": ("<b>&amp;", "any"),
    "a bidirectional character": ("a\u202eb", "any"),
    "emoji": ("\U0001f642", "fine"),
    "a leading dash": ("-x", "any"),
}
READ: Mapping[str, Change] = {
    "nothing": lambda place: None,
    "an empty folder": _folder("out"),
    "a study alone": lambda place: _file("out/study.yaml", (place / "study.yaml").read_bytes())(place),
    "an empty study.yaml": _file("out/study.yaml"),
    "a broken study.yaml": _file("out/study.yaml", b"\xff"),
    "a folder for study.yaml": _folder("out/study.yaml"),
    "no permission": _forbidden("out", 0),
    "a link to itself": _link("out", "out"),
}


class Full(NamedTuple):
    """A disk on which no file may grow beyond a size, or a process that may not take more addresses."""

    name: str
    setup: Callable[[], None]


LIMITS = (
    *(
        Full(f"no file above {size:,} bytes", children.files_of_at_most(size))
        for size in (0, 1, 100, 1000, 3000, 6000, 20_000, 60_000)
    ),
    *(
        Full(f"{size} MiB of addresses more", children.address_space_of(size << 20))
        for size in (256, 1024, 4096)
    ),
)


def cases() -> Iterator[Case]:
    """Return all cases of this file."""
    for name, (change, want) in IN_THE_WAY.items():
        yield Case(
            kind="output folder",
            name=name,
            change=change,
            commands=(RUN,),
            want=want,
            setup=children.bound_by_permissions,
        )
    for name, (place, want) in PLACES.items():
        command = ("run", "study.yaml", f"--out={place}")
        yield Case(kind="output place", name=name, commands=(command,), want=want)
    for name, change in READ.items():
        yield Case(
            kind="folder to read",
            name=name,
            change=change,
            commands=(STATUS, REPORT),
            setup=children.bound_by_permissions,
        )
    for limit in LIMITS:
        yield Case(kind="limit", name=limit.name, commands=(RUN,), setup=limit.setup)
