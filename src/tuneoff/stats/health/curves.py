"""Check a run's validation curve."""

import math
from functools import lru_cache

import scipy

from tuneoff.results.metrics import RIGHT_OR_WRONG
from tuneoff.results.predictions import score_column
from tuneoff.spec import tuned_parts
from tuneoff.stats.health.causes import likely_cause
from tuneoff.stats.health.finding import Finding, RunEvidence

DIVERGED_RATIO = 2.0
DIVERGED_NATS = 1.0
"""A validation loss has diverged if it ends above twice its start and a nat per token above it."""
NOISE = 1.64
"""Standard errors of the validation split that a change must exceed; chance does in one of twenty cases.
Evaluations use the same rows, so two of them differ by about one standard error.
"""
LATE = 0.25
"""The last part of the steps: if it still improves the score, longer training may improve it further."""
PAST_MINIMUM = 0.1
"""Relative rise of the validation loss above its minimum that counts as overfitting."""
FALLEN_LOSS = 0.05
"""Least relative fall of the validation loss that counts as a fall."""
FEWEST_EVALUATIONS = 3
"""Least number of points for a rank correlation: that of two points is always 1 or -1."""
UNMOVED_LOSS = 0.01
"""Relative change of the validation loss up to which training had no effect: any learning rate that learns
changes it by several percent."""
MEMORIZED = 0.5
"""A training loss that falls to this share of its start shows learning, whatever happens on validation."""
FALLEN_METRIC = 3.0
"""Standard errors by which the metric must end below its best: the best of ten evaluations that vary by .75
of one is 1.6 above the last on average, and 3 above once in a hundred times."""
GAP = 4.0
"""Standard errors between validation and test: the weights kept are the best of many on validation, and
settings are the best of many trials, which explains one or two."""
LEAST_GAP = 0.05
"""Least difference between validation and test that matters, whatever the number of rows."""
FEWEST_SCORES = 10
"""Test scores at or above which their deviation is known to within a quarter."""
SAME = 1e-6
"""Deviation of test scores, or of losses relative to their mean, up to which they are all the same."""
RANK_CORRELATION = 0.5
"""Loss and metric should move in opposite directions (towards -1); from here on they move together."""


def diverged(run: RunEvidence) -> Finding | None:
    """Report a loss or gradient that is not finite, or a validation loss that ends far above its start."""
    if run.record.state == "diverged":
        failure = run.record.failure
        return Finding("diverged", failure.message if failure else "the loss or a gradient is not finite")
    if not (run.trained and _exploded(run)):
        return None
    first, last = run.evaluations[0], run.evaluations[-1]
    return Finding(
        "diverged",
        f"the validation loss goes from {first.loss:.3f} at step {first.step:,} to {last.loss:.3f} at step "
        f"{last.step:,}",
    )


def _exploded(run: RunEvidence) -> bool:
    """Return whether the loss ends far above its start, and not because training rows were memorized."""
    if len(run.evaluations) < 2:
        return False
    start, end, losses = run.evaluations[0].loss, run.evaluations[-1].loss, run.training_losses
    memorized = bool(losses) and losses[-1] < start
    return end > DIVERGED_RATIO * start and end > start + DIVERGED_NATS and not memorized


def contradictory(run: RunEvidence) -> Finding | None:
    """Report a validation loss that falls while the validation metric falls with it."""
    evaluations = run.evaluations
    if not run.trained or len(evaluations) < FEWEST_EVALUATIONS:
        return None
    first, last = evaluations[0], evaluations[-1]
    noise = metric_noise(run, first.metric, last.metric)
    loss_fell = last.loss < (1 - FALLEN_LOSS) * first.loss
    if noise is None or not (loss_fell and first.metric - last.metric > NOISE * noise):
        return None
    _, losses, metrics = zip(*evaluations, strict=True)
    correlation = float(scipy.stats.spearmanr(losses, metrics).statistic)
    if correlation < RANK_CORRELATION:
        return None
    return Finding(
        "contradictory",
        f"from step {first.step:,} to {last.step:,} the validation loss falls from {first.loss:.3f} to "
        f"{last.loss:.3f} and {run.metric_name} with it, from {first.metric:.3f} to {last.metric:.3f} (rank "
        f"correlation {correlation:+.2f} over {len(evaluations)} evaluations); likely cause: "
        f"{likely_cause(run)}",
    )


def undertrained(run: RunEvidence) -> Finding | None:
    """Report a metric that the last quarter of the steps raised by more than the validation split's noise."""
    evaluations = run.evaluations
    tuned = [one for one in evaluations if one.step > 0]
    if not run.trained or len(tuned) < 2:
        return None
    last = tuned[-1]
    # the first three quarters, or at least the first evaluation after a step
    until = max((1 - LATE) * last.step, tuned[0].step)
    earlier = [one for one in evaluations if one.step <= until]
    before = max(one.metric for one in earlier)
    noise = metric_noise(run, before, last.metric)
    # only a rise beyond noise counts: of a flat noisy curve, any point can be the best
    if noise is None or last.metric - before <= NOISE * noise:
        return None
    return Finding(
        "undertrained",
        f"{run.metric_name} on validation is {last.metric:.3f} at the last step, {last.step:,}, after "
        f"{before:.3f} at best until step {earlier[-1].step:,}: a rise beyond the noise of {_rows(run):,} "
        f"rows ({NOISE * noise:.3f})",
    )


def overfitted(run: RunEvidence) -> Finding | None:
    """Report a validation loss that ends well above its minimum."""
    evaluations = run.evaluations
    if not run.trained or len(evaluations) < 2 or _exploded(run):
        return None
    lowest, last = min(evaluations, key=lambda one: one.loss), evaluations[-1]
    noise = loss_noise(run, lowest.loss)
    rise = last.loss - lowest.loss
    # both: a large share of a small loss may be noise, and a rise beyond noise may be small
    if noise is None or rise <= PAST_MINIMUM * lowest.loss or rise <= NOISE * noise:
        return None
    return Finding(
        "overfitted",
        f"the validation loss has risen from {lowest.loss:.3f} at step {lowest.step:,} to {last.loss:.3f} at "
        f"step {last.step:,}; the weights kept are those of step {run.record.best_step}",
    )


def unmoved(run: RunEvidence) -> Finding | None:
    """Report a loss and a metric on validation that stay at their start: the learning rate is far too low."""
    evaluations = run.evaluations
    if len(evaluations) < 2:
        return None
    start = evaluations[0]
    noise = metric_noise(run, start.metric)
    if noise is None or start.loss <= 0:
        return None
    loss = max(abs(one.loss - start.loss) for one in evaluations)
    metric = max(abs(one.metric - start.metric) for one in evaluations)
    if loss > UNMOVED_LOSS * start.loss or metric > NOISE * noise or _memorized(run):
        return None
    rates = " and ".join(f"{part.learning_rate:g}" for part in tuned_parts(run.record.spec.method))
    return Finding(
        "no effect",
        f"over {len(evaluations)} evaluations the validation loss stays within {loss / start.loss:.2%} of "
        f"{start.loss:.3f} at step {start.step:,}, and {run.metric_name} within {metric:.3f} of "
        f"{start.metric:.3f} (learning rate: {rates})",
    )


def _memorized(run: RunEvidence) -> bool:
    losses = run.training_losses
    return len(losses) > 1 and losses[-1] < MEMORIZED * losses[0]


def worsened(run: RunEvidence) -> Finding | None:
    """Report a metric on validation that ends far below its best, unless the curve is contradictory."""
    evaluations = run.evaluations
    if not run.trained or len(evaluations) < FEWEST_EVALUATIONS or contradictory(run):
        return None
    best, last = max(evaluations, key=lambda one: one.metric), evaluations[-1]
    noise = metric_noise(run, best.metric, last.metric)
    if noise is None or best.metric - last.metric <= FALLEN_METRIC * noise:
        return None
    return Finding(
        "worsened",
        f"{run.metric_name} on validation falls from {best.metric:.3f} at step {best.step:,} to "
        f"{last.metric:.3f} at step {last.step:,}, beyond the noise of {_rows(run):,} rows "
        f"({FALLEN_METRIC * noise:.3f}); the weights kept are those of step {run.record.best_step}",
    )


def validation_gap(run: RunEvidence) -> Finding | None:
    """Report validation and test scores of the same weights that differ by more than their rows explain."""
    validation = run.record.validation.get(run.metric)
    if validation is None or run.answers is None or not (_rows(run) and len(run.answers)):
        return None
    scores = run.answers.scores(run.metric)
    test, rows = float(scores.mean()), len(scores)
    variance = float(scores.var())
    if run.metric in RIGHT_OR_WRONG:
        # for right-or-wrong scores the variance follows from the mean; take the split with the larger one
        variance = max(mean * (1 - mean) for mean in (validation, test))
    # of the difference of two means; at least the variance that one different row gives
    error = math.sqrt(max(variance, 1 / rows) * (1 / rows + 1 / _rows(run)))
    if abs(validation - test) <= max(GAP * error, LEAST_GAP):
        return None
    return Finding(
        "validation gap",
        f"{run.metric_name} is {validation:.3f} on {_rows(run):,} validation rows and {test:.3f} on {rows:,} "
        f"test rows, {abs(validation - test) / error:.1f} standard errors apart: what is best on validation "
        "may not be best on test",
    )


def metric_noise(run: RunEvidence, *means: float) -> float | None:
    """Return the standard error of the main metric on the validation split, at least the weight of one row.

    `means` are values of the metric on it, from which the deviation of right-or-wrong scores follows. Scores
    of texts vary less, by a share that is estimated from the test predictions; without these, or where they
    are too few or all the same, it is the largest that values in 0..1 of this mean can have. The largest
    error of all means is returned; None without means or validation rows.
    """
    if not (means and _rows(run)):
        return None
    largest = max(_largest_deviation(mean) for mean in means)
    return max(_share_of_largest(run) * largest / math.sqrt(_rows(run)), 1 / _rows(run))


def loss_noise(run: RunEvidence, loss: float) -> float | None:
    """Return the standard error of a validation loss, from the deviation of the test examples' losses.

    None where these are too few or all the same: their deviation is then no estimate for other examples.
    """
    deviation = _deviation(run, "loss")
    if run.answers is None or deviation is None or not _rows(run):
        return None
    mean = float(run.answers.numbers("loss").mean())
    if not deviation > SAME * abs(mean):
        return None
    # losses of several times the size vary by several times as much
    return deviation * max(1.0, loss / mean) / math.sqrt(_rows(run))


@lru_cache(maxsize=1)  # four rules ask for it, run by run
def _share_of_largest(run: RunEvidence) -> float:
    """Return the deviation of test scores, relative to the largest that their mean allows in 0..1."""
    deviation = _deviation(run, score_column(run.metric))
    if run.answers is None or deviation is None or len(run.answers) < FEWEST_SCORES:
        return 1.0
    largest = _largest_deviation(float(run.answers.scores(run.metric).mean()))
    return min(1.0, deviation / largest) if deviation > SAME and largest > 0 else 1.0


def _largest_deviation(mean: float) -> float:
    """Return the largest deviation of values in 0..1 with this mean: that of zeros and ones."""
    return math.sqrt(max(0.0, mean * (1 - mean)))


def _deviation(run: RunEvidence, column: str) -> float | None:
    if run.answers is None or len(run.answers) < 2:
        return None
    return float(run.answers.numbers(column).std(ddof=1))


def _rows(run: RunEvidence) -> int:
    return run.record.data.validation.used if run.record.data else 0
