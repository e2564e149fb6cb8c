"""Suggest why a loss may fall while the score falls: the first reason that the run's own data supports."""

from collections.abc import Callable

from tuneoff.spec import ClassificationSpec, tuned_parts
from tuneoff.stats.health.exposure import TRUNCATED_SHARE, truncated_share
from tuneoff.stats.health.finding import RunEvidence
from tuneoff.words import words

HIGH_RATE = 10
"""Multiple of a method's default learning rate at or above which the rate is suspected."""


def likely_cause(run: RunEvidence) -> str:
    """Return the first suspicion that the run's data supports, or else how loss and score differ."""
    for suspicion in _SUSPICIONS:
        if cause := suspicion(run):
            return cause
    return _different_measures(run)


def _truncated_texts(run: RunEvidence) -> str | None:
    share = truncated_share(run)
    if share is None or share <= TRUNCATED_SHARE:
        return None
    return f"{share:.1%} of the generated texts are truncated, which the loss does not see"


def _high_rate(run: RunEvidence) -> str | None:
    for part in tuned_parts(run.record.spec.method):
        usual = type(part).model_fields["learning_rate"].default
        if part.learning_rate >= HIGH_RATE * usual:
            return f"the learning rate of {part.learning_rate:g} is high for {part.kind} (usual: {usual:g})"
    return None


def _long_labels(run: RunEvidence) -> str | None:
    task = run.record.spec.task
    if not isinstance(task, ClassificationSpec):
        return None
    longest = max(task.labels.values(), key=lambda text: len(words(text)))
    if len(words(longest)) < 2:
        return None
    return (
        f"labels of several tokens, such as '{longest}': the loss is a mean over all tokens, most of which "
        "are easy once the first is known, while the prediction depends on the first"
    )


def _different_measures(run: RunEvidence) -> str:
    if run.record.spec.task.answer != "text":
        named = run.record.spec.task.answer
        return (
            f"the loss is a mean over the tokens of the right {named} with its end of sequence and falls by "
            f"learning the form of the {named}s, while accuracy depends on which {named} is most likely"
        )
    return (
        "the loss is teacher-forced, token by token after the right beginning, while the score reads whole "
        "generated texts, which one wrong token can lead astray"
    )


_SUSPICIONS: tuple[Callable[[RunEvidence], str | None], ...] = (
    _truncated_texts,
    _high_rate,
    _long_labels,
)
