"""At least 80 kills of `tuneoff run`, many of them inside writes: nothing lost, done twice, or different.

    python benchmarks/attacks/kills.py [--limit N] [--case N]

Three small studies, one with a search and one with a checkpoint every three steps, are done undisturbed. Then
each is killed (SIGKILL) over and over: at seeded random moments, in one process and with workers, where the
driver or a worker dies; and inside writes: the process may write only so many bytes of a certain file and
dies of more (SIGXFSZ), or dies right before a file is renamed, made or removed (SIGKILL). The same command is
then called until the study is complete, and what it left is compared with the undisturbed study and with what
lay there at the moment of the kill.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from tabulate import tabulate

from case import STUDY, lay_out, write_study
from children import kill_group, start, tuneoff, warm_up
from corruption import results

TRIALS = 3
METHODS = {
    "zero_shot": {"kind": "none"},
    "full": {"kind": "full", "learning_rate": 1e-3},
    "lora": {"kind": "lora", "rank": 2, "learning_rate": 1e-2},
}
TRAINING = {"max_steps": 12, "per_device_train_batch_size": 4, "eval_steps": 4, "logging_steps": 1}
STUDIES: dict[str, dict[str, Any]] = {
    "plain": {**STUDY, "name": "plain", "methods": METHODS, "seeds": [0, 1], "training": TRAINING},
    "searched": {
        **STUDY,
        "name": "searched",
        "methods": {"zero_shot": METHODS["zero_shot"], "lora": METHODS["lora"]},
        "seeds": [0, 1],
        "training": TRAINING,
        "search": {"trials": TRIALS, "max_steps": 6},
    },
    "checkpointed": {
        **STUDY,
        "name": "checkpointed",
        "methods": {"lora": {**METHODS["lora"], "dropout": 0.1}},
        "seeds": [0, 1],
        "training": {**TRAINING, "max_steps": 60, "eval_steps": 20, "save_steps": 3},
    },
}
FILES = (
    r"study\.yaml",
    r"record\.json",
    r"curve\.jsonl",
    r"predictions\.parquet",
    r"adapter\.safetensors",
    r"adapter\.json",
    r"tfidf\.json",
    r"tfidf\.parquet",
    r"report\.md",
    r"summary\.csv",
    r"\.png",
    r"/new$",
)
"""Patterns of the files in whose writes a plain study is killed."""
FILES_OF_SEARCH = (
    r"search/[^/]+/[^/]*trials\.jsonl",
    r"search/[^/]+/[^/]*result\.json",
    r"trials/",
    r"record\.json",
)
"""The same for a study with a search."""
CHECKPOINT = r"checkpoint\.safetensors"
WORKERS = ("--executor", "process", "--workers", "2")
RESUMES = 3
"""Calls after which a study must be complete; one should be enough."""
ATTEMPTS = 4
"""Of a kill that the study's end may outrun."""
PATIENCE = 30
"""Seconds of processor time that a call may take; four times as many by the clock."""
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND


class Kill(NamedTuple):
    """One kill: of which study, by which executor, and when."""

    study: str
    executor: str
    """`inline`, `process` or `worker` (a worker is killed, and not the driver)."""
    inside: str
    """A regular expression of the file in whose write it comes; empty for a random moment."""
    seed: int

    @property
    def kind(self) -> str:
        """The row of the table that counts this kill."""
        where = "a worker" if self.executor == "worker" else self.executor
        return f"{self.study}, {where}, {'inside a write' if self.inside else 'at any moment'}"


class Touch(NamedTuple):
    """A moment at which a command touches a file of the output folder."""

    event: str
    """`write`, or the name of an audit event that changes the folder."""
    path: str


class Verdict(NamedTuple):
    """What came of a kill."""

    killed: bool
    finished: int
    """Runs and searches that were finished at that moment."""
    lost: int
    twice: int
    different: int
    stuck: int
    """Whether the same command did not complete the study."""
    story: str


def kills() -> list[Kill]:
    """Return all kills in a fixed order."""
    every = [Kill("plain", "inline", "", seed) for seed in range(7)]
    every += [Kill("searched", "inline", "", seed) for seed in range(7)]
    every += [Kill(study, "process", "", seed) for study in ("plain", "searched") for seed in range(3)]
    every += [Kill("plain", "worker", "", seed) for seed in range(2)]
    every += [Kill("plain", "inline", pattern, 0) for pattern in FILES]
    every += [Kill("searched", "inline", pattern, seed) for pattern in FILES_OF_SEARCH for seed in range(3)]
    every += [Kill("checkpointed", "inline", "", seed) for seed in range(24)]
    every += [
        Kill("checkpointed", executor, "", seed) for executor in ("process", "worker") for seed in range(3)
    ]
    every += [Kill("checkpointed", "inline", CHECKPOINT, seed) for seed in range(8)]
    return every


def watching(folder: Path, act: Callable[[Touch], object]) -> Callable[[], None]:
    """Return a setup that calls `act` before each write to, and change of, a file in a folder."""

    def setup() -> None:
        import pyarrow.parquet
        import safetensors.torch

        inside = f"{folder}{os.sep}"

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event == "tuneoff.write" or (event == "open" and _writes(arguments)):
                touched = "write"
            elif event in _CHANGES:
                touched = event
            else:
                return
            place = arguments[1] if event in ("os.symlink", "os.link") else arguments[0]
            path = str(Path.cwd() / os.fsdecode(place)) if isinstance(place, str | bytes | Path) else ""
            if path.startswith(inside):
                act(Touch(touched, path.removeprefix(inside)))

        # these two write without Python's open
        for module, name, position in (
            (pyarrow.parquet, "write_table", 1),
            (safetensors.torch, "serialize_file", 1),
        ):
            setattr(module, name, _announced(getattr(module, name), position))
        sys.addaudithook(hook)

    return setup


def _announced(write: Callable[..., object], position: int) -> Callable[..., object]:
    def announced(*arguments: Any, **options: Any) -> object:
        place = arguments[position]
        if isinstance(place, str | Path):
            sys.audit("tuneoff.write", str(place))
        return write(*arguments, **options)

    return announced


def _writes(arguments: tuple[object, ...]) -> bool:
    _, mode, flags = arguments
    return bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(int(flags or 0) & _WRITE_FLAGS)


def touches(command: Sequence[str], folder: Path) -> list[Touch]:
    """Return all writes and changes by a command in its output folder, in order."""
    log = folder / "touches"

    def note(touch: Touch) -> None:
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file:
            file.write(json.dumps(touch) + "\n")

    outcome = tuneoff(*command, folder=folder, setup=watching(folder / "out", note), seconds=PATIENCE)
    if outcome.code:
        raise SystemExit(f"the sound study must end well, but:\n{outcome.text}")
    return [Touch(*json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]


def dying(folder: Path, number: int, room: int) -> Callable[[], None]:
    """Return a setup that kills the process at touch `number`: in a write, after `room` bytes."""
    counter = itertools.count()

    def act(touch: Touch) -> None:
        if next(counter) != number:
            return
        if touch.event != "write":
            os.kill(os.getpid(), signal.SIGKILL)
        path = folder / touch.path
        size = room + (path.stat().st_size if path.exists() else 0)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return watching(folder, act)


class Undisturbed(NamedTuple):
    """A study that nobody killed."""

    results: dict[str, Any]
    touches: list[Touch]
    seconds: dict[str, float]
    """By executor."""


def command(kill_of: str) -> tuple[str, ...]:
    """Return the command for an executor."""
    return ("run", "study.yaml", "--out", "out", *(() if kill_of == "inline" else WORKERS))


def fresh(study: str, work: Path) -> Path:
    """Return the work folder, always the same one, with the study and nothing done."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    lay_out(work)
    write_study(work, STUDIES[study])
    return work


def undisturbed(study: str, work: Path) -> Undisturbed:
    """Run the study without a kill, by each executor."""
    seconds, found = {}, {}
    for executor in ("inline", "process"):
        outcome = tuneoff(*command(executor), folder=fresh(study, work), seconds=PATIENCE)
        if outcome.code:
            raise SystemExit(f"the sound study {study} must end well, but:\n{outcome.text}")
        seconds[executor], found[executor] = outcome.seconds, left(work)
    if found["inline"] != found["process"]:
        raise SystemExit(f"{study} must be the same by either executor, but is not")
    return Undisturbed(found["inline"], touches(command("inline"), fresh(study, work)), seconds)


def left(work: Path) -> dict[str, Any]:
    """Return what must be equal however often the study was killed: of each run, and of each search."""
    searches = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))
        for path in work.glob("out/search/*/result.json")
    }
    return results(work) | searches


def finished(work: Path) -> dict[Path, bytes]:
    """Return the records of complete runs and the results of searches, as they are on disk."""
    kept = {}
    for path in [*work.glob("out/runs/*/record.json"), *work.glob("out/search/*/result.json")]:
        content = path.read_bytes()
        with contextlib.suppress(ValueError):  # half of a record is no finished run
            if json.loads(content).get("state", "complete") == "complete":
                kept[path] = content
    return kept


def done(kill: Kill, sound: Undisturbed, work: Path) -> Verdict:
    """Make a kill and judge it."""
    draw = random.Random(f"{kill.study} {kill.executor} {kill.inside} {kill.seed}")
    killed, left_over, attempt = False, None, 0
    while not killed and attempt < ATTEMPTS:
        fresh(kill.study, work)
        if kill.inside:
            killed, story = _killed_inside(kill, sound, work, draw)
        else:
            killed, story, left_over = _killed_somewhen(kill, sound, work, draw, attempt)
        attempt += 1
    kept = finished(work)
    calls, ended = 0, False
    while not ended and calls < RESUMES:
        outcome = tuneoff(*command(kill.executor), folder=work, seconds=PATIENCE)
        calls += 1
        ended = outcome.code == 0
        if not ended:
            story += f"; call {calls}: {outcome.death or outcome.code}: {outcome.last_line[:150]}"
    if left_over is not None:
        kill_group(left_over)
    now = left(work) if ended else {}
    lost = sum(not path.exists() for path in kept)
    twice = sum(path.exists() and path.read_bytes() != content for path, content in kept.items())
    twice += ended and sum(_trials(path) > TRIALS for path in work.glob("out/search/*/trials.jsonl"))
    different = sum(now.get(name) != value for name, value in sound.results.items()) if ended else 0
    return Verdict(killed, len(kept), lost, twice, different, not ended, story)


def _trials(path: Path) -> int:
    """Count the trials that have ended."""
    return len(path.read_text(encoding="utf-8").splitlines())


def _killed_inside(kill: Kill, sound: Undisturbed, work: Path, draw: random.Random) -> tuple[bool, str]:
    """Kill the study in a write, or before a file is renamed, made or removed; return whether and how."""
    numbers = [n for n, touch in enumerate(sound.touches) if re.search(kill.inside, touch.path)]
    if not numbers:
        return False, f"nothing like {kill.inside} is written"
    number, room = draw.choice(numbers), draw.randrange(1, 60)
    death = dying(work / "out", number, room)
    outcome = tuneoff(*command("inline"), folder=work, setup=death, seconds=PATIENCE)
    touch = sound.touches[number]
    return bool(outcome.death), f"{touch.event} of {touch.path}: {outcome.death or outcome.code}"


def _killed_somewhen(
    kill: Kill, sound: Undisturbed, work: Path, draw: random.Random, attempt: int
) -> tuple[bool, str, int]:
    """Kill the study at a random moment; return whether, how, and the group that may still be at work.

    Each attempt comes earlier than the one before, which the study's end had outrun.
    """
    # with workers, half of the time goes by before the first run
    share = draw.uniform(0.05, 0.95) if kill.executor == "inline" else draw.uniform(0.5, 0.95)
    moment = sound.seconds["inline" if kill.executor == "inline" else "process"] * share * 0.7**attempt
    silence = os.open(os.devnull, os.O_WRONLY)
    child = start(command(kill.executor), folder=work, output=(silence, silence), seconds=PATIENCE)
    os.close(silence)
    time.sleep(moment)
    if kill.executor == "worker":
        dead = _kill_worker(child, draw)
        os.waitpid(child, 0)
        return dead, "a worker", child
    # the driver alone: its workers must notice by themselves, while the next call is at work already
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), f"after {moment:.1f} s", child


def _kill_worker(driver: int, draw: random.Random) -> bool:
    """Kill one of the processes that do runs; return whether there was one within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and psutil.pid_exists(driver):
        try:
            below = psutil.Process(driver).children(recursive=True)
            workers = sorted(one.pid for one in below if one.ppid() != driver)
        except psutil.NoSuchProcess:
            continue
        if workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def table(tried: Sequence[tuple[Kill, Verdict]]) -> str:
    """Return the counts by kind, in Markdown."""
    heads = ["kind", "kills", "finished before", "lost", "done twice", "different", "not completed"]
    lines = []
    for kind in dict.fromkeys(kill.kind for kill, _ in tried):
        own = [verdict for kill, verdict in tried if kill.kind == kind]
        lines.append([kind, *map(sum, zip(*(_numbers(verdict) for verdict in own), strict=True))])
    lines.append(["all", *(sum(line[column] for line in lines) for column in range(1, len(heads)))])
    return tabulate(lines, headers=heads, tablefmt="github")


def _numbers(verdict: Verdict) -> tuple[int, ...]:
    return verdict.killed, verdict.finished, verdict.lost, verdict.twice, verdict.different, verdict.stuck


def arguments() -> argparse.Namespace:
    """Parse the arguments of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="so many kills, evenly from all")
    parser.add_argument("--case", type=int, help="this kill alone")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> Iterator[tuple[int, Kill]]:
    """Return the kills that were asked for, with their numbers."""
    every = list(enumerate(kills()))
    if options.case is not None:
        yield every[options.case]
    elif options.limit:
        yield from every[:: max(1, len(every) // options.limit)][: options.limit]
    else:
        yield from every


def main() -> None:
    """Do what the arguments ask for; exit code 1 if there was a fault."""
    wanted = list(chosen(arguments()))
    warm_up()
    started, tried = time.monotonic(), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        work = Path(place) / "work"
        sound = {study: undisturbed(study, work) for study in dict.fromkeys(kill.study for _, kill in wanted)}
        for number, kill in wanted:
            verdict = done(kill, sound[kill.study], work)
            tried.append((kill, verdict))
            faults = verdict.lost + verdict.twice + verdict.different + verdict.stuck
            mark = "FAULT" if faults else "resumed" if verdict.killed else "ended before the kill"
            print(f"kill {number}: {kill.kind}: {verdict.story}: {mark}", flush=True)
    print(f"\n{table(tried)}\n\n{time.monotonic() - started:.0f} s")
    sys.exit(any(sum(_numbers(verdict)[2:]) for _, verdict in tried))


if __name__ == "__main__":
    main()
