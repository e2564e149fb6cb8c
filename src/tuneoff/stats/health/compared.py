"""A run against the base model, the best baseline and its own record, example by example."""

import math

from tuneoff.stats.answers import Answers, row_metric
from tuneoff.stats.health.curves import unmoved
from tuneoff.stats.health.finding import Check, Finding, RunEvidence
from tuneoff.stats.health.pairs import Difference, paired, paired_difference
from tuneoff.stats.intervals import Interval

FEWEST_CHANGES = 6
"""Examples whose score differs, at least: five that all point one way are a chance of 1 in 16."""
UNCHANGED_SHARE = 0.01
"""Answers that may differ from the base model's where these are still nearly equal."""
ENOUGH_ROWS = 50
"""With fewer, equal answers may be chance (with 50, less than 6% of them would change, at 95%)."""
UNCHANGED_LOSS = 0.01
"""Relative change of the mean loss up to which even few equal answers are no chance."""
ROUNDING = 1e-6
"""How far a score may lie from the mean of its own rows."""


def worse_than_zero_shot(run: RunEvidence) -> Finding | None:
    """The base model answers better, beyond chance."""
    if not run.trained:
        return None
    return _worse(run, "worse than zero-shot", "the base model", run.against_zero_shot)


def worse_than_baseline(run: RunEvidence) -> Finding | None:
    """A baseline without the model answers better, beyond chance."""
    if run.baseline is None or run.answers is None:
        return None
    name, theirs = run.baseline
    difference = paired_difference(run.answers, theirs, run.metric)
    return _worse(run, "worse than baseline", f"the baseline '{name}'", difference)


def _worse(run: RunEvidence, check: Check, other: str, difference: Difference | None) -> Finding | None:
    if difference is None or difference.mean.high >= 0 or difference.changed < FEWEST_CHANGES:
        return None
    return Finding(
        check,
        f"{run.metric} minus that of {other} is {_told(difference.mean)} over {difference.mean.examples:,} "
        f"paired test examples",
    )


def _told(mean: Interval) -> str:
    return f"{mean.mean:+.3f} (95% interval {mean.low:+.3f} to {mean.high:+.3f})"


def score_mismatch(run: RunEvidence) -> Finding | None:
    """A score in the record is not the mean of the run's own predictions."""
    if run.answers is None:
        return None
    for metric, score in run.record.scores.items():
        # a row's loss is per token of that row, a record's per token of the split
        if metric == "eval_loss" or row_metric(metric) not in run.answers:
            continue
        mean = float(run.answers.scores(metric).mean())
        if not math.isclose(score, mean, rel_tol=0, abs_tol=ROUNDING):
            return Finding(
                "score mismatch",
                f"the record has {metric} {score:.4f}, the {len(run.answers):,} rows of predictions have "
                f"{mean:.4f}",
            )
    return None


def no_effect(run: RunEvidence) -> Finding | None:
    """The trained model answers as the base model does, or training moves nothing on validation."""
    return (_answers_as_zero_shot(run) or unmoved(run)) if run.trained else None


def _answers_as_zero_shot(run: RunEvidence) -> Finding | None:
    if run.answers is None or run.zero_shot is None:
        return None
    difference = run.against_zero_shot
    if difference is None or _differs(difference):
        return None
    # where a score differs, so does the answer
    if difference.changed > UNCHANGED_SHARE * difference.mean.examples:
        return None
    ours, theirs = paired(run.answers, run.zero_shot)
    changed = int((ours.generated_texts != theirs.generated_texts).sum())
    if changed > UNCHANGED_SHARE * len(ours):
        return None
    if len(ours) < ENOUGH_ROWS and _loss_moved(ours, theirs):
        return None
    return Finding(
        "no effect",
        f"{len(ours) - changed:,} of {len(ours):,} test answers are those of the base model, and "
        f"{run.metric} differs by {_told(difference.mean)}",
    )


def _differs(difference: Difference) -> bool:
    return difference.changed >= FEWEST_CHANGES and not difference.mean.low <= 0 <= difference.mean.high


def _loss_moved(ours: Answers, theirs: Answers) -> bool:
    before = float(theirs.numbers("loss").mean())
    return abs(float(ours.numbers("loss").mean()) - before) > UNCHANGED_LOSS * abs(before)
