"""Prints what simple baselines score on the test splits of the builtin data.

    python benchmarks/builtin_baselines.py

Reviews: a bag of words and word pairs (TF-IDF, logistic regression), without and with the pairs. Dialogues:
copying the first three turns or the longest one.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from rouge_score.rouge_scorer import RougeScorer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tabulate import tabulate

from tuneoff.tasks.builtin import builtin_tables

LEVELS = ("all", "easy", "medium", "hard")
ROUGE = ("rouge1", "rouge2", "rougeL")
Rows = Sequence[Mapping[str, str]]


def splits(name: str) -> dict[str, Rows]:
    """The rows of a builtin data set."""
    return {
        split: [{column: str(cell) for column, cell in record.cells.items()} for record in table.records]
        for split, table in builtin_tables(name).items()
    }


def level_means(rows: Rows, scores: Sequence[float]) -> list[float]:
    """The mean of the rows' scores over all levels, then over each."""
    return [
        fmean(score for row, score in zip(rows, scores, strict=True) if level in ("all", row["level"]))
        for level in LEVELS
    ]


def most_frequent(train: Rows, test: Rows) -> list[float]:
    """1 for each test row whose label is the most frequent one in train."""
    labels = [row["label"] for row in train]
    answer = max(sorted(set(labels)), key=labels.count)
    return [float(row["label"] == answer) for row in test]


def bag_of_words(train: Rows, test: Rows, longest: int) -> list[float]:
    """1 for each test row that a logistic regression on n-grams up to this length gets right."""
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, longest)), LogisticRegression(max_iter=1000))
    model.fit([row["text"] for row in train], [row["label"] for row in train])
    answers = model.predict([row["text"] for row in test])
    return [float(row["label"] == answer) for row, answer in zip(test, answers, strict=True)]


def first_turns(dialogue: str) -> str:
    """The first three turns."""
    return "\n".join(dialogue.split("\n")[:3])


def longest_turn(dialogue: str) -> str:
    """The turn with the most words."""
    return max(dialogue.split("\n"), key=lambda turn: len(turn.split()))


def copying(test: Rows, part: Callable[[str], str], metric: str) -> list[float]:
    """The ROUGE F1 of each dialogue's part against its summary."""
    scorer = RougeScorer([metric], use_stemmer=True)
    return [scorer.score(row["summary"], part(row["dialogue"]))[metric].fmeasure for row in test]


def show(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a table of scores by level."""
    print(tabulate(rows, headers=[title, *LEVELS], floatfmt=".3f", tablefmt="github"), end="\n\n")


def main() -> None:
    """Print both tables."""
    reviews, dialogues = splits("reviews"), splits("dialogues")
    answers = {
        "most frequent label": most_frequent(reviews["train"], reviews["test"]),
        "words": bag_of_words(reviews["train"], reviews["test"], 1),
        "words and word pairs": bag_of_words(reviews["train"], reviews["test"], 2),
    }
    show(
        "reviews, accuracy",
        [(name, *level_means(reviews["test"], scores)) for name, scores in answers.items()],
    )
    show(
        "dialogues, ROUGE F1",
        [
            (f"{name}, {metric}", *level_means(dialogues["test"], copying(dialogues["test"], part, metric)))
            for name, part in (("first three turns", first_turns), ("longest turn", longest_turn))
            for metric in ROUGE
        ],
    )


if __name__ == "__main__":
    main()
