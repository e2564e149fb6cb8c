"""Time a race against the same study with all of its seeds: whole processes, one after the other.

    python benchmarks/raced.py [--seeds N]

The study is the quickstart's reviews, with two workers. Both give every method the same seeds in the same
order; the race goes on only as far as its decision needs it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

from tuneoff.results import StudyFolder, read_records
from tuneoff.spec import StudySpec, dump_study, load_study

TASK, FEWEST = "reviews", 3


def study_of(seeds: object) -> StudySpec:
    """Return the quickstart's reviews with other seeds."""
    study = load_study("quickstart").model_dump(mode="json")
    changes = {"tasks": {TASK: study["tasks"][TASK]}, "seeds": seeds}
    return StudySpec.model_validate_json(json.dumps(study | changes))


def measured(name: str, study: StudySpec, folder: Path) -> tuple[str, float, int, str]:
    """Do a study in a process of its own; return its name, seconds, trained runs and decision."""
    file = folder.with_suffix(".yaml")
    file.write_text(dump_study(study), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("tuneoff")), "run", str(file), "--out", str(folder)]
    started = time.perf_counter()
    subprocess.run([*command, "--executor", "process"], stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - started
    (decision,) = json.loads(StudyFolder(folder).report.decision.read_text(encoding="utf-8"))[TASK].values()
    trained = sum(record.steps > 0 for record in read_records(folder))
    return name, seconds, trained, _in_words(decision)


def _in_words(decision: dict[str, Any]) -> str:
    best = max(decision["candidates"], key=lambda one: one["mean"])
    ends = f"{best['mean']:.3f} ({best['low']:.3f} to {best['high']:.3f})"
    return f"{decision['state']}: {decision['recommended']}; highest: {best['method']} {ends}"


def main() -> None:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=12)
    most = parser.parse_args().seeds
    if most <= FEWEST:
        parser.error(f"--seeds must be above {FEWEST}, with which the race starts, but got {most}")
    designs = {
        f"{most} seeds": list(range(most)),
        f"race of {FEWEST} to {most}": {"from": FEWEST, "to": most},
    }
    with tempfile.TemporaryDirectory() as place:
        lines = [
            measured(name, study_of(seeds), Path(place, str(number)))
            for number, (name, seeds) in enumerate(designs.items())
        ]
    heads = ("design", "seconds", "trained runs", "decision")
    print(tabulate(lines, headers=heads, tablefmt="github", floatfmt=".0f"))


if __name__ == "__main__":
    main()
