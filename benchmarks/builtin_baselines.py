"""Print what simple baselines score on the test splits of the builtin data.

    python benchmarks/builtin_baselines.py

Reviews: a bag of words and word pairs (TF-IDF, logistic regression), without and with the pairs. Dialogues:
copying the first three turns or the longest one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean

from tabulate import tabulate

from tuneoff.spec import BuiltinSource, ClassificationSpec, SummarizationSpec, Task
from tuneoff.tasks import Example, load_task, score_rows
from tuneoff.tasks.baselines import Predictions, lead_3, longest_turn, majority, tfidf
from tuneoff.tasks.builtin import builtin_tables

LEVELS = ("all", "easy", "medium", "hard")
ROUGE = ("rouge1", "rouge2", "rougeL")
REVIEWS = ClassificationSpec(
    kind="classification",
    source=BuiltinSource(builtin="reviews"),
    prompt="{text}",
    target="label",
    labels={"0": "negative", "1": "positive"},
)
DIALOGUES = SummarizationSpec(
    kind="summarization", source=BuiltinSource(builtin="dialogues"), prompt="{dialogue}", target="summary"
)


def levels_of(name: str, examples: Sequence[Example]) -> list[str]:
    """Return the level of each example of a builtin test split."""
    records = builtin_tables(name)["test"].records
    return [str(records[example.row].cells["level"]) for example in examples]


def level_means(levels: Sequence[str], scores: Sequence[float]) -> list[float]:
    """Return the mean of the scores over all levels, then over each."""
    return [
        fmean(score for level, score in zip(levels, scores, strict=True) if wanted in ("all", level))
        for wanted in LEVELS
    ]


def table(
    name: str, task: Task, baselines: Mapping[str, Callable[..., Predictions]], endings: Mapping[str, str]
) -> list[list[object]]:
    """Return level means for each baseline and score; `endings` are added to the titles of rows."""
    data = load_task(task)
    levels = levels_of(name, data.test)
    rows = []
    for title, baseline in baselines.items():
        values = score_rows(task, data.test, baseline(data.train, data.test, task))
        for score, ending in endings.items():
            rows.append([title + ending, *level_means(levels, [value[score] for value in values])])
    return rows


def show(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a table of scores by level."""
    print(tabulate(rows, headers=[title, *LEVELS], floatfmt=".3f", tablefmt="github"), end="\n\n")


def main() -> None:
    """Print both tables."""
    counting: dict[str, Callable[..., Predictions]] = {
        "most frequent label": majority,
        "words": partial(tfidf, longest=1),
        "words and word pairs": tfidf,
    }
    copying: dict[str, Callable[..., Predictions]] = {
        "first three turns": lead_3,
        "longest turn": longest_turn,
    }
    show("reviews, accuracy", table("reviews", REVIEWS, counting, {"correct": ""}))
    rouge = {f"eval_{metric}": f", {metric}" for metric in ROUGE}
    show("dialogues, ROUGE F1", table("dialogues", DIALOGUES, copying, rouge))


if __name__ == "__main__":
    main()
