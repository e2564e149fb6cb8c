"""At least 500 malformed inputs, each given to the real command line: no traceback, hang, crash or lost row.

    python benchmarks/attacks/inputs.py [--kind KIND] [--limit N] [--case N]

Inputs come from tables and from seeded changes, so that their number and order stay. What may come of one:
it is refused (exit code 2, one message), it turns out fine (exit code 0, a complete study with every row),
or a run fails and its record says why (exit code 1). Anything else is a fault. `--limit` takes so many cases
evenly from all; `--case` does a single one, shows what was said and keeps its folder.
"""

import argparse
import json
import re
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

import inputs_data
import inputs_folders
import inputs_models
import inputs_study
from case import Case, lay_out
from children import Outcome, tuneoff, warm_up

LONGEST = 4000
"""Characters of a message that someone still reads."""
_HIDDEN = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


class Verdict(NamedTuple):
    """What came of a case."""

    fate: str
    """`refused`, `fine`, `failed` (and recorded), or `fault`."""
    faults: tuple[str, ...]
    outcomes: tuple[Outcome, ...]


def every_case() -> list[Case]:
    """Return all cases in a fixed order; a case's number is its place here."""
    modules = (inputs_study, inputs_data, inputs_models, inputs_folders)
    return [case for module in modules for case in module.cases()]


def judged(case: Case, folder: Path) -> Verdict:
    """Run a case in an empty folder and judge it."""
    lay_out(folder)
    case.change(folder)
    outcomes = []
    for command in case.commands:
        options = case.options if command[:1] in (("plan",), ("run",)) else ()
        outcomes.append(tuneoff(*command, *options, folder=folder, setup=case.setup, encoding=case.encoding))
    faults = [fault for outcome in outcomes for fault in faults_of(outcome, folder)]
    faults += contradictions(case, outcomes, folder)
    fate = "fault" if faults else {0: "fine", 1: "failed", 2: "refused"}[outcomes[-1].code or 0]
    return Verdict(fate, tuple(dict.fromkeys(faults)), tuple(outcomes))


def faults_of(outcome: Outcome, folder: Path) -> Iterator[str]:
    """Return what is wrong with how a single command ended."""
    command = outcome.arguments[0] if outcome.arguments else "no command"
    if "Traceback (most recent call last)" in outcome.text:
        yield f"{command}: traceback: {outcome.last_line[:200]}"
    elif outcome.death:
        yield f"{command}: {outcome.death} after {outcome.seconds:.0f} s"
    elif outcome.code == 1 and not (command in ("run", "report") and unfinished(folder)):
        yield f"{command}: exit code 1, and no record says why: {outcome.last_line[:200]}"
    elif outcome.code == 2 and not one_message(outcome.err):
        yield f"{command}: exit code 2 without one message: {outcome.err[:200]!r}"
    elif outcome.code not in (0, 1, 2):
        yield f"{command}: exit code {outcome.code}: {outcome.last_line[:200]}"
    elif outcome.code != 0 and len(outcome.err) > LONGEST:
        yield f"{command}: a message of {len(outcome.err):,} characters"
    if hidden := sorted(set(filter(_is_hidden, outcome.text))):
        yield f"{command}: characters that cannot be seen reach the terminal: {hidden}"


def contradictions(case: Case, outcomes: Sequence[Outcome], folder: Path) -> Iterator[str]:
    """Return where commands contradict each other, the case, or what is on disk."""
    codes = {outcome.arguments[0]: outcome.code for outcome in outcomes if outcome.arguments}
    last = outcomes[-1]
    if 2 in codes.values() and 0 in codes.values() and codes.keys() == {"plan", "run"}:
        message = next(outcome.last_line for outcome in outcomes if outcome.code == 2)
        yield f"plan ends with {codes['plan']}, run with {codes['run']}: {message[:200]}"
    if case.want == "fine" and last.code == 2:
        yield f"refused without need: {last.last_line[:200]}"
    if case.want == "refused" and last.code == 0:
        yield "taken, and should have been refused"
    if (folder / "executed").exists():
        yield "code out of the input was executed"
    if last.code == 0 and last.arguments[:1] == ("run",):
        yield from losses(case, folder)


def losses(case: Case, folder: Path) -> Iterator[str]:
    """Return what a run that ended well has not done or not read."""
    records = read_records(folder)
    if not any(folder.rglob("report/report.md")):
        yield "exit code 0 without a report"
    if not records:
        yield "exit code 0 without a record"
    for record in records:
        if record["state"] != "complete":
            yield f"exit code 0 with a run that is {record['state']}"
        elif case.rows is not None:
            read = {split: record["data"][split]["read"] for split in case.rows}
            if read != case.rows:
                yield f"rows read {read}, but there are {dict(case.rows)}"
    for path in folder.rglob("report/report.*"):
        if hidden := sorted(set(filter(_is_hidden, path.read_text(encoding="utf-8")))):
            yield f"characters that cannot be seen are in {path.name}: {hidden}"
    for path in folder.rglob("runs/*/predictions.parquet"):
        if not len(pd.read_parquet(path)):
            yield "a run without predictions is complete"


def read_records(folder: Path) -> list[dict]:
    """Return the records below a folder, as they are written."""
    paths = (path for path in folder.rglob("runs/*/record.json") if "damaged" not in path.parts)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


def unfinished(folder: Path) -> bool:
    """Return whether a record says why its run is not complete."""
    return any(record["state"] != "complete" and record.get("failure") for record in read_records(folder))


def one_message(text: str) -> bool:
    """Return whether this is tuneoff's one message."""
    return text.startswith("error: ") and len(re.findall("^error: ", text, re.MULTILINE)) == 1


def _is_hidden(character: str) -> bool:
    return character in _HIDDEN or (
        unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"
    )


def show(case: Case, verdict: Verdict) -> None:
    """Print everything that a case led to."""
    print(f"{case.kind}: {case.name}: {verdict.fate}")
    for outcome in verdict.outcomes:
        print(f"\n$ tuneoff {' '.join(map(repr, outcome.arguments))}")
        print(f"{outcome.out}{outcome.err}[{outcome.death or outcome.code}, {outcome.seconds:.1f} s]")
    for fault in verdict.faults:
        print(f"fault: {fault}")


def table(tried: Sequence[tuple[Case, Verdict]]) -> str:
    """Return the counts by kind, in Markdown."""
    fates = ("refused", "fine", "failed", "fault")
    counts = Counter((case.kind, verdict.fate) for case, verdict in tried)
    kinds = list(dict.fromkeys(case.kind for case, _ in tried))
    lines = [
        [kind, sum(counts[kind, fate] for fate in fates), *(counts[kind, fate] for fate in fates)]
        for kind in kinds
    ]
    lines.append(["all", *(sum(line[column] for line in lines) for column in range(1, 6))])
    return tabulate(
        lines, headers=["kind", "cases", "refused", "fine", "failed", "faults"], tablefmt="github"
    )


def arguments() -> argparse.Namespace:
    """Parse the arguments of this script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", help="cases of this kind alone; may be repeated")
    parser.add_argument("--first", type=int, default=0, help="begin with the case of this number")
    parser.add_argument("--limit", type=int, help="so many cases, evenly from all")
    parser.add_argument("--case", type=int, help="this case alone, shown in full")
    return parser.parse_args()


def main() -> None:
    """Do what the arguments ask for; exit code 1 if there was a fault."""
    options = arguments()
    numbered = [one for one in enumerate(every_case()) if not options.kind or one[1].kind in options.kind]
    numbered = numbered[options.first :]
    if options.case is not None:
        numbered = [(options.case, every_case()[options.case])]
    elif options.limit:
        numbered = numbered[:: max(1, len(numbered) // options.limit)][: options.limit]
    warm_up()
    started, tried = time.monotonic(), []
    for number, case in numbered:
        if options.case is not None:
            folder = Path(tempfile.mkdtemp())
            verdict = judged(case, folder)
            show(case, verdict)
            print(f"folder: {folder}")
        else:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
                verdict = judged(case, Path(place))
        tried.append((case, verdict))
        for fault in verdict.faults if options.case is None else ():
            print(f"case {number}: {case.kind}: {case.name[:100]!r}: {fault}", flush=True)
    print(f"\n{table(tried)}\n\n{time.monotonic() - started:.0f} s")
    sys.exit(any(verdict.faults for _, verdict in tried))


if __name__ == "__main__":
    main()
