"""Over 100 corruptions of a finished study's folder: each one named, or without consequence; none silent.

    python benchmarks/attacks/corruption.py [--kind KIND] [--limit N] [--case N] [--again N]

Two small studies are done once: one with three methods, two tasks and two seeds, one with a search. Each
corruption is done to a copy; then `status` and `report` are called, and `run` after every second corruption
(`--again`). What they write is compared with what they write of two sound folders: the one from before, and
the one from before without the damaged runs (or baseline, or search). It must equal one of them, number by
number; where it is the second, report and status must name what is excluded. Anything else is a silent
change. After `run` the study must be complete, with scores, answers and adapters as before.
"""

import argparse
import csv
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from case import STUDY, rows, write_study
from children import Outcome, bound_by_permissions, tuneoff, warm_up
from corruptions import Corruption, corruptions

NOTES = {
    "kind": "summarization",
    "source": {"files": {split: f"notes_{split}.csv" for split in ("train", "validation", "test")}},
    "prompt": "Summarize: {text}",
    "target": "summary",
    "max_new_tokens": 8,
    "max_target_length": 12,
}
TRAINING = {"max_steps": 12, "per_device_train_batch_size": 4, "eval_steps": 4, "logging_steps": 2}
FULL = {"kind": "full", "learning_rate": 1e-3}
LORA = {"kind": "lora", "rank": 2, "learning_rate": 1e-2}
STUDIES: dict[str, dict[str, Any]] = {
    "plain": {
        **STUDY,
        "name": "plain",
        "tasks": {"films": STUDY["tasks"]["films"], "notes": NOTES},
        "methods": {"zero_shot": {"kind": "none"}, "full": FULL, "lora": LORA},
        "seeds": [0, 1],
        "training": TRAINING,
    },
    "searched": {
        **STUDY,
        "name": "searched",
        "methods": {"zero_shot": {"kind": "none"}, "lora": LORA},
        "seeds": [0, 1],
        "training": TRAINING,
        "search": {"trials": 3, "max_steps": 4},
    },
}
ROWS = {"train": 48, "validation": 12, "test": 40}
DAMAGE = re.compile(
    r"damaged|excluded|unreadable|not readable|cannot be read|not agree|not run yet"
    r"|belongs? to no run|unknown (field|key)|format \d+|moved aside|is missing",
    re.IGNORECASE,
)
"""A line that says of something that it is damaged."""
UNDONE = "not run yet"
"""So a report counts runs without a record: it is the record that says that a run has ended."""
_FRAME = re.compile(r"#+ .*|\|[^0-9]*")
"""A heading, or the head of a table."""


class Seen(NamedTuple):
    """What `status` and `report` make of a folder."""

    status: str
    report: tuple[str, ...]
    """The lines of report.md."""
    summary: tuple[tuple[str, ...], ...]
    """The rows of summary.csv."""


@dataclass
class Finished:
    """A finished study, kept whole, and what is seen of it."""

    kept: Path
    work: Path
    """Where copies are laid, always the same place, so that paths in files stay true."""
    seen: Seen
    results: dict[str, Any]
    without: dict[tuple[str, ...], Seen] = field(default_factory=dict)
    """What is seen of the folder without some of its runs, baselines or searches."""

    def fresh(self) -> Path:
        """Restore the work folder to the end of the study and return it."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.kept, self.work, symlinks=True)
        return self.work


class Verdict(NamedTuple):
    """What came of a corruption."""

    fate: str
    """`named`, `no consequence`, `SILENT`, `traceback` or `blocked`."""
    faults: tuple[str, ...]
    again: str
    """Of `run` afterwards: `restored`, `refused`, `fault`, or nothing where it was not called."""
    outcomes: tuple[Outcome, ...]


def finished(name: str, place: Path) -> Finished:
    """Return the study of this name, finished."""
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for split, count in ROWS.items():
        table = [["text", "label"], *rows(split, count)]
        _write(work / f"{split}.csv", table)
        notes = [[f"{text} and {text}", " ".join(text.split()[-2:])] for text, _ in rows(split, count // 4)]
        _write(work / f"notes_{split}.csv", [["text", "summary"], *notes])
    write_study(work, STUDIES[name])
    done = tuneoff("run", "study.yaml", "--out", "out", folder=work, seconds=120)
    if done.code:
        raise SystemExit(f"the sound study {name} must end well, but:\n{done.text}")
    kept = place / name
    shutil.copytree(work, kept)
    return Finished(kept=kept, work=work, seen=seen(work), results=results(work))


def _write(path: Path, table: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)


def seen(folder: Path) -> Seen:
    """Return what status and report show of a folder that must be sound."""
    outcomes = [_called(command, folder) for command in ("status", "report")]
    if any(outcome.code not in (0, 1) or "Traceback" in outcome.text for outcome in outcomes):
        raise SystemExit("\n".join(outcome.text for outcome in outcomes))
    return _seen(folder, outcomes[0])


def _called(command: str, folder: Path) -> Outcome:
    return tuneoff(command, "out", folder=folder, setup=bound_by_permissions)


def _seen(folder: Path, status: Outcome) -> Seen:
    report = folder / "out" / "report"
    with (report / "summary.csv").open(encoding="utf-8", newline="") as file:
        summary = tuple(map(tuple, csv.reader(file)))
    return Seen(status.out, tuple((report / "report.md").read_text(encoding="utf-8").splitlines()), summary)


def results(folder: Path) -> dict[str, Any]:
    """Return by run what must be equal when the run is done again."""
    found = {}
    for path in sorted((folder / "out" / "runs").glob("*/record.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        parts = {key: record[key] for key in ("state", "scores", "validation", "best_step", "steps")}
        for name in ("predictions.parquet", "curve.jsonl", "adapter/adapter.safetensors"):
            file = path.parent / name
            parts[name] = file.read_bytes() if file.exists() else None
        found[path.parent.name] = parts
    return found


def without(study: Finished, corruption: Corruption) -> Seen:
    """Return what is shown of the study without what the corruption damages."""
    edit = corruption.name if corruption.kind == "study.yaml" else ""
    key = (corruption.kind, edit, *corruption.runs, *corruption.signs)
    if key not in study.without:
        out = study.fresh() / "out"
        if corruption.runs and corruption.kind == "study.yaml":
            corruption.damage(study.work)
            shutil.rmtree(out / "baselines")
        for path in (out / "runs").glob("*") if corruption.runs else ():
            if path.name.startswith(corruption.runs):
                shutil.rmtree(path)
        if corruption.kind in ("baseline", "exchange") and not corruption.runs:
            for path in (out / "baselines" / "films.nfull").glob("tfidf.*"):
                path.unlink()
        if corruption.kind == "search":
            shutil.rmtree(out / "search")
        study.without[key] = seen(study.work)
    return study.without[key]


def judged(corruption: Corruption, study: Finished, *, again: bool) -> Verdict:
    """Judge a corruption."""
    reference = without(study, corruption)
    folder = study.fresh()
    corruption.damage(folder)
    outcomes = [_called(command, folder) for command in ("status", "report")]
    fate, faults = _fate(corruption, study, reference, outcomes)
    repaired = ""
    if again:
        outcome = tuneoff(
            "run", "study.yaml", "--out", "out", folder=folder, setup=bound_by_permissions, seconds=60
        )
        outcomes.append(outcome)
        wrong = tuple(_not_restored(corruption, study, outcome))
        repaired = "fault" if wrong else "refused" if outcome.code == 2 else "restored"
        faults += wrong
    return Verdict(fate, faults, repaired, tuple(outcomes))


def _fate(
    corruption: Corruption, study: Finished, reference: Seen, outcomes: Sequence[Outcome]
) -> tuple[str, tuple[str, ...]]:
    """Return what status and report made of a corruption, and what is wrong with that."""
    signs = (*_ids(study, corruption), *corruption.signs, *(["study.yaml"] if corruption.whole else []))
    for outcome in outcomes:
        command = outcome.arguments[0]
        if "Traceback (most recent call last)" in outcome.text or outcome.death:
            return "traceback", (f"{command}: {outcome.death or outcome.last_line[:200]}",)
        if outcome.code == 2 and not corruption.whole and corruption.kind != "report":
            return "blocked", (f"{command} refuses all for one: {outcome.last_line[:200]}",)
        if outcome.code == 2 and not any(sign in outcome.err for sign in signs):
            return "blocked", (f"{command} does not name what is wrong: {outcome.last_line[:200]}",)
    if any(outcome.code == 2 for outcome in outcomes):
        return "named", ()
    now = _seen(study.work, outcomes[0])
    if now == study.seen:
        return "no consequence", ()
    said = (*now.report, *outcomes[1].text.splitlines())
    wrong = next(_silences(now, study.seen, reference, said, signs), None)
    return ("named", ()) if wrong is None else ("SILENT", (wrong,))


def _silences(
    now: Seen, before: Seen, reference: Seen, said: Sequence[str], signs: Sequence[str]
) -> Iterator[str]:
    """Return what has changed in a report and is neither named nor explained by what is named."""
    alike = [sound for sound in (before, reference) if sound.summary == now.summary]
    if not alike:
        yield f"summary.csv: {_difference(now.summary, before.summary)}"
        return
    if strange := min((_unexplained(now, sound) for sound in alike), key=len):
        yield f"report.md: {strange[0][:200]}"
    new = [line for line in said if line not in before.report]
    named = (line for line in new if DAMAGE.search(line) and any(sign in line for sign in signs))
    if not any(named) and not any(UNDONE in line for line in new):
        yield "excluded, and the report does not name it"
    if now.status == before.status:
        yield "excluded, and status does not name it"


def _ids(study: Finished, corruption: Corruption) -> tuple[str, ...]:
    return tuple(run for run in study.results if corruption.runs and run.startswith(corruption.runs))


def _unexplained(now: Seen, sound: Seen) -> list[str]:
    """Return lines of a report that a sound folder's report lacks and that report no damage."""
    return [
        line
        for line in now.report
        if line not in sound.report and not DAMAGE.search(line) and not _FRAME.fullmatch(line)
    ]


def _difference(now: Sequence[Sequence[str]], before: Sequence[Sequence[str]]) -> str:
    """Return the first cell that differs."""
    for new, old in zip(now, before, strict=False):
        for name, one, other in zip(before[0], new, old, strict=False):
            if one != other:
                return f"{' '.join(old[:2])}: {name} is {one or 'nothing'}, and was {other or 'nothing'}"
    return f"{len(now)} rows for {len(before)}"


def _not_restored(corruption: Corruption, study: Finished, outcome: Outcome) -> Iterator[str]:
    """Return what is wrong after the study was run again."""
    if "Traceback (most recent call last)" in outcome.text or outcome.death:
        yield f"run: {outcome.death or outcome.last_line[:200]}"
    elif outcome.code == 2 and not (corruption.whole or corruption.refusable or corruption.kind == "report"):
        yield f"run refuses all for one: {outcome.last_line[:200]}"
    elif outcome.code not in (0, 2):
        yield f"run: exit code {outcome.code}: {outcome.last_line[:200]}"
    elif outcome.code == 0 and corruption.kind != "data":
        now = _readable(study.work)
        for run, before in study.results.items():
            if run not in now:
                yield f"run: {run} is not there afterwards"
            elif wrong := [part for part, value in before.items() if now[run][part] != value]:
                yield f"run: {run} has another {wrong[0]} afterwards"


def _readable(folder: Path) -> dict[str, Any]:
    try:
        return results(folder)
    except (OSError, ValueError, KeyError):
        return {}


def show(corruption: Corruption, verdict: Verdict) -> None:
    """Print everything that a corruption led to."""
    print(f"{corruption.kind}: {corruption.name}: {verdict.fate}, {verdict.again or 'not run again'}")
    for outcome in verdict.outcomes:
        print(f"\n$ tuneoff {' '.join(outcome.arguments)}")
        print(f"{outcome.out}{outcome.err}[{outcome.death or outcome.code}, {outcome.seconds:.1f} s]")
    for fault in verdict.faults:
        print(f"fault: {fault}")


def table(tried: Sequence[tuple[Corruption, Verdict]]) -> str:
    """Return the counts by kind, in Markdown."""
    fates = ("named", "no consequence", "SILENT", "traceback", "blocked")
    ends = ("restored", "refused", "fault")
    counts = Counter((one.kind, verdict.fate) for one, verdict in tried)
    counts.update((one.kind, f"again {verdict.again}") for one, verdict in tried)
    columns = [*fates, *(f"again {end}" for end in ends)]
    lines = [
        [kind, sum(counts[kind, fate] for fate in fates), *(counts[kind, column] for column in columns)]
        for kind in dict.fromkeys(one.kind for one, _ in tried)
    ]
    lines.append(["all", *(sum(line[column] for line in lines) for column in range(1, len(columns) + 2))])
    heads = ["kind", "corruptions", *fates, *(f"run: {end}" for end in ends)]
    return tabulate(lines, headers=heads, tablefmt="github")


def arguments() -> argparse.Namespace:
    """Parse the arguments of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", help="corruptions of this kind alone; may be repeated")
    parser.add_argument("--limit", type=int, help="so many corruptions, evenly from all")
    parser.add_argument("--case", type=int, help="this corruption alone, shown in full")
    parser.add_argument("--again", type=int, default=2, help="run again behind every N-th (0: never)")
    return parser.parse_args()


def main() -> None:
    """Do what the arguments ask for; exit code 1 if there was a fault."""
    options = arguments()
    every = list(enumerate(corruptions()))
    numbered = [one for one in every if not options.kind or one[1].kind in options.kind]
    if options.case is not None:
        numbered = [every[options.case]]
    elif options.limit:
        numbered = numbered[:: max(1, len(numbered) // options.limit)][: options.limit]
    warm_up()
    started, tried = time.monotonic(), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        studies = {name: finished(name, Path(place)) for name in {one.study for _, one in numbered}}
        for count, (number, one) in enumerate(numbered):
            again = options.case is not None or bool(options.again and count % options.again == 0)
            verdict = judged(one, studies[one.study], again=again)
            tried.append((one, verdict))
            if options.case is not None:
                show(one, verdict)
            else:
                for fault in verdict.faults:
                    print(f"corruption {number}: {one.kind}: {one.name}: {verdict.fate}: {fault}", flush=True)
    print(f"\n{table(tried)}\n\n{time.monotonic() - started:.0f} s")
    sys.exit(any(verdict.faults for _, verdict in tried))


if __name__ == "__main__":
    main()
