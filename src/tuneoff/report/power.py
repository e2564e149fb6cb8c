"""What a study of a given size can find, in sentences."""

from collections.abc import Mapping

from tuneoff.report.formatting import count
from tuneoff.spec import ClassificationSpec, NoneSpec, StudySpec
from tuneoff.stats.compare import family_size
from tuneoff.stats.intervals import ALPHA
from tuneoff.stats.power import CLASSIFICATION, POWER, SUMMARIZATION, Components, detectable, needed

DIFFERENCES = (0.01, 0.02, 0.05)


def power_statements(study: StudySpec, examples: Mapping[str, int]) -> tuple[str, ...]:
    """For each task, which difference the study finds, and what it would take to find smaller ones.

    `examples` are the test rows of each task. A difference counts as found if it is significant as the first
    of the study's comparisons on one task and train size, which Holm's adjustment asks most of. Seeds and
    examples vary as is typical of the kind of task (docs/statistics.md).
    """
    return tuple(line for task, number in examples.items() for line in _statements(study, task, number))


def _statements(study: StudySpec, task: str, examples: int) -> tuple[str, ...]:
    spec = study.tasks[task]
    typical = CLASSIFICATION if isinstance(spec, ClassificationSpec) else SUMMARIZATION
    seeds, family = len(study.seeds), _family(study)
    found = detectable(seeds, examples, typical, alpha=ALPHA / family)
    start = f"{task}: with {seeds} seed{'s' * (seeds > 1)} and {count(examples)} test examples, "
    if found is None:
        first = start + "nothing can be said of a method: use three seeds or more"
    elif found >= 1:
        first = start + f"no difference is found with {POWER:.0%} probability{_level(family)}"
    else:
        alone = detectable(seeds, examples, typical)
        first = (
            f"{start}a difference of {found:.3f} {spec.main_metric} is found with {POWER:.0%} probability"
            f"{_level(family)}{f'; alone, {alone:.3f} would be' if family > 1 else ''}"
        )
    smaller = [one for one in DIFFERENCES if found is None or one < found]
    return (first, *(_takes(difference, typical, examples, family) for difference in smaller))


def _family(study: StudySpec) -> int:
    """How many comparisons of methods one task and train size has, at least 1."""
    untrained = frozenset(name for name, method in study.methods.items() if isinstance(method, NoneSpec))
    return max(family_size(study.methods, study.references, untrained), 1)


def _level(family: int) -> str:
    return f" as the first of {family} comparisons (level {ALPHA} / {family})" if family > 1 else ""


def _takes(difference: float, typical: Components, examples: int, family: int) -> str:
    *sized, present = needed(difference, typical, examples=examples, alpha=ALPHA / family)
    options = [f"{one.seeds} seeds and {count(one.examples)} examples" for one in sized if one.examples]
    if present.seeds:
        options.append(f"{present.seeds} seeds and these {count(examples)} examples")
    return f"  a difference of {difference} takes {', or '.join(options) or 'more than can be had'}"
