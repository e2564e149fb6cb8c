"""Compare a run with the base model, the best baseline and its own record, example by example."""

import math

from tuneoff.results import metric_name
from tuneoff.results.predictions import score_column
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.curves import unmoved
from tuneoff.stats.health.finding import Check, Finding, RunEvidence
from tuneoff.stats.health.pairs import Difference, paired, paired_difference
from tuneoff.stats.intervals import Interval

FEWEST_CHANGES = 6
"""Least number of examples whose score differs: five that all point one way are a chance of 1 in 16."""
UNCHANGED_SHARE = 0.01
"""Share of predictions that may differ from the base model's for the model to count as unchanged."""
ENOUGH_ROWS = 50
"""With fewer, equal predictions may be chance (with 50, less than 6% of them would change, at 95%)."""
UNCHANGED_LOSS = 0.01
"""Relative change of the mean loss up to which equal predictions are no chance, even on few rows."""
ROUNDING = 1e-6
"""Largest difference between a score and the mean of its own rows."""


def worse_than_zero_shot(run: RunEvidence) -> Finding | None:
    """Report a run that scores lower than the base model, beyond chance."""
    if not run.trained:
        return None
    return _worse(run, "worse than zero-shot", "the base model", run.against_zero_shot)


def worse_than_baseline(run: RunEvidence) -> Finding | None:
    """Report a run that scores lower than a baseline without a model, beyond chance."""
    if run.baseline is None or run.answers is None:
        return None
    name, theirs = run.baseline
    difference = paired_difference(run.answers, theirs, run.metric)
    return _worse(run, "worse than baseline", f"the baseline '{name}'", difference)


def _worse(run: RunEvidence, check: Check, other: str, difference: Difference | None) -> Finding | None:
    if difference is None or difference.changed < FEWEST_CHANGES:
        return None
    # the interval holds the mean, so a mean of 0 or more needs no interval
    if difference.values.mean() >= 0 or difference.mean.high >= 0:
        return None
    return Finding(
        check,
        f"{run.metric_name} minus that of {other} is {_with_interval(difference.mean)} over "
        f"{difference.mean.examples:,} paired test examples",
    )


def _with_interval(mean: Interval) -> str:
    return f"{mean.mean:+.3f} (95% interval {mean.low:+.3f} to {mean.high:+.3f})"


def score_mismatch(run: RunEvidence) -> Finding | None:
    """Report a score in the record that is not the mean of the run's own predictions."""
    if run.answers is None:
        return None
    for metric, score in run.record.scores.items():
        # a row's loss is per token of that row, a record's per token of the split
        if metric == "eval_loss" or score_column(metric) not in run.answers:
            continue
        mean = float(run.answers.scores(metric).mean())
        if not math.isclose(score, mean, rel_tol=0, abs_tol=ROUNDING):
            return Finding(
                "score mismatch",
                f"the record has {metric_name(metric)} {score:.4f}, the {len(run.answers):,} rows of "
                f"predictions have {mean:.4f}",
            )
    return None


def no_effect(run: RunEvidence) -> Finding | None:
    """Report a trained model that predicts as the base model does, or does not change on validation."""
    if not run.trained:
        return None
    return _predicts_as_zero_shot(run) or unmoved(run)


def _predicts_as_zero_shot(run: RunEvidence) -> Finding | None:
    if run.answers is None or run.zero_shot is None:
        return None
    difference = run.against_zero_shot
    # a prediction whose score differs differs as well; scores are cheaper to compare than texts
    if difference is None or difference.changed > UNCHANGED_SHARE * len(difference.values):
        return None
    if _differs(difference):
        return None
    ours, theirs = paired(run.answers, run.zero_shot)
    changed = int((ours.generated_texts != theirs.generated_texts).sum())
    if changed > UNCHANGED_SHARE * len(ours):
        return None
    if len(ours) < ENOUGH_ROWS and _loss_moved(ours, theirs):
        return None
    return Finding(
        "no effect",
        f"{len(ours) - changed:,} of {len(ours):,} test predictions are those of the base model, and "
        f"{run.metric_name} differs by {difference.values.mean():+.3f}",
    )


def _differs(difference: Difference) -> bool:
    return difference.changed >= FEWEST_CHANGES and not difference.mean.low <= 0 <= difference.mean.high


def _loss_moved(ours: Answers, theirs: Answers) -> bool:
    before = float(theirs.numbers("loss").mean())
    return abs(float(ours.numbers("loss").mean()) - before) > UNCHANGED_LOSS * abs(before)
