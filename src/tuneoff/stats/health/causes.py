"""Why a loss may fall while the score falls: the likeliest reason that a run's own data shows."""

from collections.abc import Callable

from tuneoff.spec import ClassificationSpec, tuned_parts
from tuneoff.stats.health.exposure import CUT_SHARE, cut_share
from tuneoff.stats.health.finding import RunEvidence
from tuneoff.words import words

HIGH_RATE = 10
"""Times a method's usual learning rate, from which on the rate is suspected."""


def likely_cause(run: RunEvidence) -> str:
    """The first suspicion that the run's data supports, or what loss and score read differently."""
    return next(cause for suspicion in _SUSPICIONS if (cause := suspicion(run)))


def _cut_generation(run: RunEvidence) -> str | None:
    share = cut_share(run)
    if share is None or share <= CUT_SHARE:
        return None
    return f"{share:.1%} of the generated texts are cut off, which the loss does not see"


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
        f"labels of several pieces, such as '{longest}': the loss is a mean over all pieces, most of which "
        "are easy once the first is known, while the answer hangs on the first"
    )


def _different_readings(run: RunEvidence) -> str:
    if isinstance(run.record.spec.task, ClassificationSpec):
        return (
            "the loss is a mean over the pieces of the right label with its end of sequence and falls by "
            "learning how answers look, while accuracy asks which label is likeliest"
        )
    return (
        "the loss is teacher-forced, token by token behind the right beginning, while the score reads whole "
        "generated texts, which one wrong token can lead astray"
    )


_SUSPICIONS: tuple[Callable[[RunEvidence], str | None], ...] = (
    _cut_generation,
    _high_rate,
    _long_labels,
    _different_readings,
)
