"""By how much the loss on general text has risen, over seeds and texts, and which method forgets more.

The mean is over tokens, and texts differ in length, so it is a ratio of sums over texts. A text's own value
is the ratio's linear expansion (Cochran 1977, section 6.3): the mean of the values is the ratio itself, and
their spread is that of the ratio. So `intervals.py` takes them as it takes scores of test examples.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow

from tuneoff.results import RunRecord
from tuneoff.results.format import damaged_if_unreadable
from tuneoff.results.layout import StudyFolder
from tuneoff.results.parquet import open_parquet
from tuneoff.stats.cells import Cell, TaskSize
from tuneoff.stats.compare import Pair, paired_scores
from tuneoff.stats.decide import Decision
from tuneoff.stats.examples import RunScores, Scores
from tuneoff.stats.intervals import ALPHA, Floats, Interval, interval

_COLUMNS = ("row", "tokens", "before", "after")


@dataclass(frozen=True)
class Forgotten:
    """What a method forgets on one task and train size, in nats per token of general text."""

    before: float
    """The untouched model's loss."""
    increase: Interval
    """By how much the tuned model's loss is higher; below 0 where it is lower."""
    texts: int
    tokens: int
    """Tokens of the texts that are predicted."""
    truncated: int
    """Texts that were cut."""

    @property
    def after(self) -> float:
        """The tuned model's loss, as a mean over seeds."""
        return self.before + self.increase.mean


class ForgetsMore(NamedTuple):
    """A recommended method that is shown to forget more than another that is as good."""

    method: str
    other: str
    difference: Interval
    """Of their losses on general text, in nats per token; all intervals of a decision hold together."""


def increases(folder: Path, record: RunRecord) -> RunScores | None:
    """Read the increase of a run's loss on each general text; None where it was not measured.

    Raises:
        DamagedError: the file is damaged.
    """
    if record.forgetting is None:
        return None
    path = StudyFolder(folder).run(record.run_id).forgetting
    with damaged_if_unreadable(path, pyarrow.ArrowException, KeyError):
        table = open_parquet(path).read()
        rows, tokens, before, after = (table[name].to_numpy() for name in _COLUMNS)
    return RunScores(rows, per_token(after - before, tokens))


def per_token(values: Floats, tokens: Floats) -> Floats:
    """Return a value for each text [N] whose mean is the mean over tokens of values per token [N]."""
    mean = (values * tokens).sum() / tokens.sum()
    return mean + (values - mean) * tokens / tokens.mean()


def forgotten(
    records: Iterable[RunRecord], cells: Mapping[Cell, Scores], untrained: frozenset[str]
) -> dict[Cell, Forgotten]:
    """Return what each cell forgets, from the increases of its runs."""
    measured = {Cell.of(record.spec): record.forgetting for record in records if record.forgetting}
    return {
        cell: Forgotten(
            before=measured[cell].before,
            increase=interval(scores.values, seeded=cell.method not in untrained, limited=False),
            texts=measured[cell].texts,
            tokens=measured[cell].tokens,
            truncated=measured[cell].truncated,
        )
        for cell, scores in cells.items()
    }


def forgets_more(
    decisions: Mapping[TaskSize, Decision], cells: Mapping[Cell, Scores], untrained: frozenset[str]
) -> dict[TaskSize, tuple[ForgetsMore, ...]]:
    """Return, for each decision, the methods that are as good as the recommended one and forget less.

    As good are those that cost at most the margin, too; where the decision is open, those that may be the
    best. Their differences are paired by seed and text, and each interval has its part of the error
    (Bonferroni).
    """
    found: dict[TaskSize, tuple[ForgetsMore, ...]] = {}
    for place, decision in decisions.items():
        compared = {}
        for name in _as_good(decision):
            pair = Pair(*place, str(decision.recommended), name)
            sides = paired_scores(cells, pair, untrained)
            if sides is not None:
                compared[pair] = sides[0] - sides[1]  # [1, N] is subtracted from every seed of the other
        found[place] = tuple(
            ForgetsMore(pair.method, pair.reference, one)
            for pair, differences in compared.items()
            if (one := interval(differences, alpha=ALPHA / len(compared), limited=False)).low > 0
        )
    return found


def _as_good(decision: Decision) -> list[str]:
    if decision.state == "shown":
        good = list(decision.within_margin)
    else:
        good = [one for one in decision.candidates if one.may_be_best and not one.findings]
    return [one.name for one in good if one.name != decision.recommended]
