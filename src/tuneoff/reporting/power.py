"""State in sentences which differences a study of a given size can detect."""

from collections.abc import Mapping

from tuneoff.reporting.formatting import count, plural
from tuneoff.spec import ClassificationSpec, NoneSpec, StudySpec, Task
from tuneoff.stats.compare import family_size
from tuneoff.stats.intervals import ALPHA
from tuneoff.stats.power import CLASSIFICATION, POWER, SUMMARIZATION, Components, detectable, needed

DIFFERENCES = (0.01, 0.02, 0.05)


def power_statements(study: StudySpec, examples: Mapping[str, int]) -> tuple[str, ...]:
    """Return for each task the difference that the study can detect, and what smaller ones would need.

    `examples` has the number of test rows of each task. A difference counts as detected if it is significant
    as the first of the study's comparisons on one task and train size, to which Holm's adjustment is
    strictest. Seeds and examples are assumed to vary as is typical of the kind of task
    (docs/statistics.md).
    """
    lines: list[str] = []
    for task, number in examples.items():
        lines += _statements(study, task, number)
    return tuple(lines)


def _statements(study: StudySpec, task: str, examples: int) -> list[str]:
    spec = study.tasks[task]
    typical = typical_components(spec)
    seeds, family = len(study.all_seeds), _family(study)
    found = detectable(seeds, examples, typical, alpha=ALPHA / family)
    size = f"{task}: {plural(seeds, 'seed')} and {plural(examples, 'test example')}"
    if found is None:
        first = (
            f"{size} support no claim about a method, which needs at least two seeds (better three or more)"
        )
    elif found >= 1:
        first = f"{size} can detect no difference with {POWER:.0%} power{_level(family)}"
    else:
        alone = detectable(seeds, examples, typical)
        first = (
            f"{size} can detect a difference of {found:.3f} {spec.main_metric} with {POWER:.0%} power"
            f"{_level(family)}{f'; a single comparison, {alone:.3f}' if family > 1 else ''}"
        )
    smaller = [one for one in DIFFERENCES if found is None or one < found]
    return [first, *(_needs(difference, typical, examples, family) for difference in smaller)]


def typical_components(task: Task) -> Components:
    """Return how seeds and examples vary in this kind of task."""
    return CLASSIFICATION if isinstance(task, ClassificationSpec) else SUMMARIZATION


def _family(study: StudySpec) -> int:
    """Return how many comparisons of methods one task and train size has, at least 1."""
    untrained = frozenset(name for name, method in study.methods.items() if isinstance(method, NoneSpec))
    return max(family_size(study.methods, study.references, untrained), 1)


def _level(family: int) -> str:
    return f" as the first of {family} comparisons (level {ALPHA} / {family})" if family > 1 else ""


def _needs(difference: float, typical: Components, examples: int, family: int) -> str:
    *sized, present = needed(difference, typical, examples=examples, alpha=ALPHA / family)
    options = [f"{one.seeds} seeds and {count(one.examples)} examples" for one in sized if one.examples]
    if present.seeds:
        options.append(f"{present.seeds} seeds and these {count(examples)} examples")
    if not options:
        return f"  a difference of {difference} is out of reach"
    return f"  a difference of {difference} needs {', or '.join(options)}"
