"""Print what successive halving saves in a search, and what it loses, on both builtin tasks.

    OMP_NUM_THREADS=1 python benchmarks/search_halving.py [--out results/search-halving]

The learning rates of LoRA and of a soft prompt are searched twice, in nine trials each: to the end of every
trial, and by halving. Then each method is trained and tested with what either search chose. Trials have equal
values as far as they lie on the Latin hypercube (six of nine), and then equal scores wherever both go.
The command resumes; once all is there, it only prints the table.
"""

import argparse
from pathlib import Path

from tabulate import tabulate

from tuneoff.results import RunRecord, SearchResult, read_records, read_searches
from tuneoff.spec import load_study
from tuneoff.study import InlineExecutor, run_study

STUDY = Path(__file__).with_suffix(".yaml")
PRUNERS = ("none", "halving")


def steps_trained(result: SearchResult) -> int:
    """Return the optimizer steps of all trials of a search, those that were repeated included."""
    return sum(steps * trials for steps, trials in result.reached) or result.steps * len(result.trials)


def cells(result: SearchResult, record: RunRecord) -> list[str]:
    """Return the chosen learning rate, its validation score, and the test score with it."""
    assert result.best is not None
    rate, score = result.best.values["learning_rate"], result.best.score
    return [f"{rate:.2g}", f"{score:.3f}", f"{record.scores[result.metric]:.3f}"]


def place_of_choice(halved: SearchResult, full: SearchResult) -> str:
    """Return which place the trial that halving chose has among all trials of the full search."""
    assert halved.best is not None
    scores = [trial.score or 0.0 for trial in full.trials]
    return f"{1 + sum(score > (halved.best.score or 0.0) for score in scores)} of {len(scores)}"


def main() -> None:
    """Do what is missing, and print the table."""
    parser = argparse.ArgumentParser(description="What halving saves in a search, and what it loses.")
    parser.add_argument("--out", type=Path, default=Path("results/search-halving"))
    out = parser.parse_args().out
    found = {}
    for pruner in PRUNERS:
        folder = out / pruner
        study = load_study(str(STUDY), overrides=[f"search.pruner={pruner}"])
        run_study(study, folder, executor=InlineExecutor())
        records = {(one.spec.task_name, one.spec.method_name): one for one in read_records(folder)}
        for result in read_searches(folder):
            place = result.task_name, result.method_name
            found[place, pruner] = result, records[place]
    rows = []
    for place in dict.fromkeys(place for place, _ in found):
        (full, of_full), (halved, of_halved) = (found[place, pruner] for pruner in PRUNERS)
        saved = 1 - steps_trained(halved) / steps_trained(full)
        rows.append(
            [
                " ".join(place),
                f"{steps_trained(full):,}",
                f"{steps_trained(halved):,} (-{saved:.0%})",
                *cells(full, of_full),
                *cells(halved, of_halved),
                place_of_choice(halved, full),
            ]
        )
    scores = ("rate", "validation", "test")
    heads = ["", "steps", "steps, halving", *scores, *(f"{one}, halving" for one in scores), "place"]
    print(tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
