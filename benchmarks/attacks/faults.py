"""160 faults in the midst of `tuneoff run`: nothing lost, done twice, or different.

    python benchmarks/attacks/faults.py [--kind KIND] [--limit N] [--case N]

Four small studies, one with a search and one with a checkpoint every three steps, are done undisturbed. Then
each is disturbed over and over:

- killed (SIGKILL) at seeded random moments: the one process, the driver, a worker, or one of eight processes
  that share a folder (`--shard`);
- killed inside writes: the process may write only so many bytes of a certain file and dies of more (SIGXFSZ),
  or dies right before a file is renamed, made or removed (SIGKILL);
- the disk is full from a certain write on: no file can get longer, and none can be made;
- the address space ends after so many bytes (`ulimit -v`).

The same command is then called, with nothing in its way, until the study is complete, and what it left is
compared with the undisturbed study and with what lay there at the moment of the fault.
"""

import argparse
import contextlib
import errno
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
from typing import Any, Literal, NamedTuple

import psutil
from tabulate import tabulate

from case import STUDY, lay_out, write_study
from children import Outcome, address_space_of, kill_group, start, tuneoff, warm_up
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
    # less than a row cannot be read at a time: what is short of memory fails, and does not end otherwise
    "row by row": {
        **STUDY,
        "name": "row-by-row",
        "methods": METHODS,
        "seeds": [0, 1],
        "training": {**TRAINING, "per_device_train_batch_size": 1, "per_device_eval_batch_size": 1},
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
SHARDS = 8
RESUMES = 3
"""Calls after which a study must be complete; one should be enough."""
ATTEMPTS = 4
"""Of a kill that the study's end may outrun."""
PATIENCE = 30
"""Seconds of processor time that a call may take; four times as many by the clock."""
_KILLED = {
    "inline": "the process",
    "process": "the driver",
    "worker": "a worker",
    "shards": "one of eight shards",
}
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link")
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND


class Fault(NamedTuple):
    """One fault: in which study, by which executor, and when."""

    how: Literal["kill", "full disk", "no memory"]
    study: str
    executor: str
    """`inline`, `process`, `worker` (a worker is killed, and not the driver) or `shards`."""
    inside: str
    """A regular expression of the file in whose write it comes; empty for a random moment."""
    seed: int

    @property
    def kind(self) -> str:
        """The row of the table that counts this fault."""
        if self.how != "kill":
            return f"{self.how}: {self.study}"
        where = _KILLED[self.executor]
        return f"kill: {self.study}, {where}, {'inside a write' if self.inside else 'at any moment'}"


class Touch(NamedTuple):
    """A moment at which a command touches a file of the output folder."""

    event: str
    """`write`, or the name of an audit event that changes the folder."""
    path: str


class Verdict(NamedTuple):
    """What came of a fault."""

    injected: bool
    finished: int
    """Runs and searches that were finished at that moment."""
    lost: int
    twice: int
    different: int
    stuck: int
    """Whether the same command did not complete the study."""
    traceback: int
    """Whether one was shown."""
    story: str


def faults() -> list[Fault]:
    """Return all faults in a fixed order."""
    every = [Fault("kill", "plain", "inline", "", seed) for seed in range(24)]
    every += [Fault("kill", "searched", "inline", "", seed) for seed in range(22)]
    every += [
        Fault("kill", study, "process", "", seed) for study in ("plain", "searched") for seed in range(5)
    ]
    every += [
        Fault("kill", study, "worker", "", seed) for study in ("plain", "searched") for seed in range(5)
    ]
    every += [Fault("kill", "plain", "shards", "", seed) for seed in range(4)]
    every += [Fault("kill", "plain", "inline", pattern, 0) for pattern in FILES]
    every += [
        Fault("kill", "searched", "inline", pattern, seed) for pattern in FILES_OF_SEARCH for seed in range(3)
    ]
    every += [Fault("kill", "checkpointed", "inline", "", seed) for seed in range(24)]
    every += [
        Fault("kill", "checkpointed", executor, "", seed)
        for executor in ("process", "worker")
        for seed in range(3)
    ]
    every += [Fault("kill", "checkpointed", "inline", CHECKPOINT, seed) for seed in range(8)]
    every += [Fault("full disk", "plain", "inline", pattern, 0) for pattern in FILES]
    every += [Fault("full disk", "searched", "inline", pattern, 0) for pattern in FILES_OF_SEARCH]
    every += [Fault("full disk", "checkpointed", "inline", CHECKPOINT, seed) for seed in range(2)]
    every += [Fault("no memory", "row by row", "inline", "", seed) for seed in range(10)]
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
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        _limit_files(folder / touch.path, room)

    return watching(folder, act)


def filling(folder: Path, number: int, room: int, marker: Path) -> Callable[[], None]:
    """Return a setup with a disk that is full from touch `number` on, in a write after `room` bytes.

    Then the marker is there.
    """
    counter = itertools.count()

    def act(touch: Touch) -> None:
        now = next(counter)
        if now < number:
            return
        if now == number:
            marker.touch()
            _limit_files(folder / touch.path, room)
        if touch.event in ("os.mkdir", "os.symlink"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), touch.path)

    return watching(folder, act)


def _limit_files(path: Path, room: int) -> None:
    """Let no file grow beyond the size of one, and so many bytes."""
    size = room + (path.stat().st_size if path.exists() else 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


class Undisturbed(NamedTuple):
    """A study that nobody killed."""

    results: dict[str, Any]
    touches: list[Touch]
    seconds: dict[str, float]
    """By executor."""


def command(executor: str, shard: int = 1) -> tuple[str, ...]:
    """Return the command for an executor."""
    options = {"inline": (), "shards": ("--shard", f"{shard}/{SHARDS}")}.get(executor, WORKERS)
    return ("run", "study.yaml", "--out", "out", *options)


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


def done(fault: Fault, sound: Undisturbed, work: Path) -> Verdict:
    """Let a fault happen and judge what came of it."""
    draw = random.Random(f"{fault.study} {fault.executor} {fault.inside} {fault.seed}")
    injected, story, attempt = False, "", 0
    left_over: list[int] = []
    while not injected and attempt < ATTEMPTS:
        fresh(fault.study, work)
        if fault.how == "no memory":
            injected, story = _without_memory(work, draw, attempt)
        elif fault.inside:
            injected, story = _inside_a_write(fault, sound, work, draw)
        else:
            injected, story, left_over = _killed_somewhen(fault, sound, work, draw, attempt)
        attempt += 1
    kept = finished(work)
    calls, ended = 0, False
    while not ended and calls < RESUMES:
        calls += 1
        complaint = _called_again(fault, work)
        ended = not complaint
        story += f"; call {calls}: {complaint}" if complaint else ""
    for group in left_over:
        kill_group(group)
    now = left(work) if ended else {}
    lost = sum(not path.exists() for path in kept)
    twice = sum(path.exists() and path.read_bytes() != content for path, content in kept.items())
    twice += ended and sum(_trials(path) > TRIALS for path in work.glob("out/search/*/trials.jsonl"))
    different = sum(now.get(name) != value for name, value in sound.results.items()) if ended else 0
    traceback = "Traceback" in story
    return Verdict(injected, len(kept), lost, twice, different, not ended, traceback, story)


def _called_again(fault: Fault, work: Path) -> str:
    """Call the same command with nothing in its way, or those of all shards at once; return what failed."""
    if fault.executor == "shards":
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in _started(fault, work)]
        return f"exit codes {codes}" if any(codes) else ""
    outcome = tuneoff(*command(fault.executor), folder=work, seconds=PATIENCE)
    return "" if outcome.code == 0 else _in_short(outcome)


def _started(fault: Fault, work: Path) -> list[int]:
    """Start the command, or those of all shards, and return the processes."""
    silence = os.open(os.devnull, os.O_WRONLY)
    commands = [
        command(fault.executor, 1 + shard) for shard in range(SHARDS if fault.executor == "shards" else 1)
    ]
    children = [start(one, folder=work, output=(silence, silence), seconds=PATIENCE) for one in commands]
    os.close(silence)
    return children


def _trials(path: Path) -> int:
    """Count the trials that have ended."""
    return len(path.read_text(encoding="utf-8").splitlines())


def _inside_a_write(fault: Fault, sound: Undisturbed, work: Path, draw: random.Random) -> tuple[bool, str]:
    """Kill the study, or fill the disk, in a write or before another change of a file; return if and how."""
    numbers = [n for n, touch in enumerate(sound.touches) if re.search(fault.inside, touch.path)]
    if not numbers:
        return False, f"nothing like {fault.inside} is written"
    number, room = draw.choice(numbers), draw.randrange(1, 60)
    touch = sound.touches[number]
    if fault.how == "kill":
        outcome = tuneoff(
            *command("inline"), folder=work, setup=dying(work / "out", number, room), seconds=PATIENCE
        )
        return bool(outcome.death), f"{touch.event} of {touch.path}: {outcome.death or outcome.code}"
    full = filling(work / "out", number, room, work / "full")
    outcome = tuneoff(*command("inline"), folder=work, setup=full, seconds=PATIENCE)
    return (work / "full").exists(), f"{touch.event} of {touch.path}: {_in_short(outcome)}"


def _without_memory(work: Path, draw: random.Random, attempt: int) -> tuple[bool, str]:
    """Do the study with little memory, less at each attempt; return whether something failed, and how."""
    size = int(draw.uniform(1, 64) * 2**20 * 0.5**attempt)
    outcome = tuneoff(*command("inline"), folder=work, setup=address_space_of(size), seconds=PATIENCE)
    return outcome.code != 0, f"{size >> 20} MiB: {_in_short(outcome)}"


def _in_short(outcome: Outcome) -> str:
    """Return how a command ended, and its last line or that it showed a traceback."""
    said = "Traceback: " if "Traceback (most recent call last)" in outcome.text else ""
    return f"{outcome.death or outcome.code}: {said}{outcome.last_line[:150]}"


def _killed_somewhen(
    fault: Fault, sound: Undisturbed, work: Path, draw: random.Random, attempt: int
) -> tuple[bool, str, list[int]]:
    """Kill a process at a random moment; return whether, how, and the groups that may still be at work.

    Each attempt comes earlier than the one before, which the study's end had outrun.
    """
    # with workers, half of the time goes by before the first run
    share = draw.uniform(0.05, 0.95) if fault.executor == "inline" else draw.uniform(0.5, 0.95)
    moment = sound.seconds["inline" if fault.executor == "inline" else "process"] * share * 0.7**attempt
    children = _started(fault, work)
    time.sleep(moment)
    if fault.executor == "worker":
        dead = _kill_worker(children[0], draw)
        os.waitpid(children[0], 0)
        return dead, "a worker", children
    # the driver alone: its workers must notice by themselves, while the next call is at work already
    victim = draw.choice(children)
    os.kill(victim, signal.SIGKILL)
    statuses = {child: os.waitpid(child, 0)[1] for child in children}
    return os.WIFSIGNALED(statuses[victim]), f"after {moment:.1f} s", children


def _kill_worker(driver: int, draw: random.Random) -> bool:
    """Kill one of the processes that do runs; return whether there was one within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            process = psutil.Process(driver)
            if process.status() == psutil.STATUS_ZOMBIE:  # it has ended
                return False
            below = process.children(recursive=True)
            workers = sorted(one.pid for one in below if one.ppid() != driver)
        except psutil.NoSuchProcess:
            continue
        if workers:
            os.kill(draw.choice(workers), signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def table(tried: Sequence[tuple[Fault, Verdict]]) -> str:
    """Return the counts by kind, in Markdown."""
    heads = [
        "fault",
        "injected",
        "finished before",
        "lost",
        "done twice",
        "different",
        "not completed",
        "traceback",
    ]
    lines = []
    for kind in dict.fromkeys(fault.kind for fault, _ in tried):
        own = [_numbers(verdict) for fault, verdict in tried if fault.kind == kind]
        lines.append([kind, *map(sum, zip(*own, strict=True))])
    lines.append(["all", *(sum(line[column] for line in lines) for column in range(1, len(heads)))])
    return tabulate(lines, headers=heads, tablefmt="github")


def arguments() -> argparse.Namespace:
    """Parse the arguments of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kind", choices=["kill", "full disk", "no memory"], help="faults of this kind alone"
    )
    parser.add_argument("--limit", type=int, help="so many faults, evenly from all")
    parser.add_argument("--case", type=int, help="this fault alone")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> Iterator[tuple[int, Fault]]:
    """Return the faults that were asked for, with their numbers."""
    every = [one for one in enumerate(faults()) if options.kind in (None, one[1].how)]
    if options.case is not None:
        yield from (one for one in every if one[0] == options.case)
    elif options.limit:
        yield from every[:: max(1, len(every) // options.limit)][: options.limit]
    else:
        yield from every


def main() -> None:
    """Do what the arguments ask for; exit code 1 if something went wrong."""
    wanted = list(chosen(arguments()))
    warm_up()
    started, tried = time.monotonic(), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        work = Path(place) / "work"
        sound = {study: undisturbed(study, work) for study in dict.fromkeys(one.study for _, one in wanted)}
        for number, fault in wanted:
            verdict = done(fault, sound[fault.study], work)
            tried.append((fault, verdict))
            mark = "WRONG" if _wrong(verdict) else "resumed" if verdict.injected else "ended before it"
            print(f"{number}: {fault.kind}: {verdict.story}: {mark}", flush=True)
    print(f"\n{table(tried)}\n\n{time.monotonic() - started:.0f} s")
    sys.exit(any(_wrong(verdict) for _, verdict in tried))


def _wrong(verdict: Verdict) -> bool:
    return any(_numbers(verdict)[2:])


def _numbers(verdict: Verdict) -> tuple[int, ...]:
    injected, finished, *faults = verdict[:-1]
    return int(injected), finished, *faults


if __name__ == "__main__":
    main()
