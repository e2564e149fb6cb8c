"""What a study of a given size can find, in sentences."""

from collections.abc import Mapping

from tuneoff.report.numerals import count
from tuneoff.spec import ClassificationSpec, StudySpec
from tuneoff.stats.power import CLASSIFICATION, POWER, SUMMARIZATION, Components, detectable, needed

DIFFERENCES = (0.01, 0.02, 0.05)


def power_statements(study: StudySpec, examples: Mapping[str, int]) -> tuple[str, ...]:
    """For each task, which difference the study finds, and what it would take to find smaller ones.

    `examples` are the test rows of each task. Differences are those of a single comparison at the 5 % level;
    seeds and examples vary as is typical of the kind of task (docs/statistics.md).
    """
    return tuple(line for task, number in examples.items() for line in _statements(study, task, number))


def _statements(study: StudySpec, task: str, examples: int) -> tuple[str, ...]:
    spec = study.tasks[task]
    typical = CLASSIFICATION if isinstance(spec, ClassificationSpec) else SUMMARIZATION
    seeds = len(study.seeds)
    found = detectable(seeds, examples, typical)
    told = f"{task}: with {seeds} seed{'s' * (seeds > 1)} and {count(examples)} test examples, "
    if found is None:
        first = told + "nothing can be said of a method: use three seeds or more"
    else:
        first = told + f"a difference of {found:.3f} {spec.main_metric} is found with {POWER:.0%} probability"
    smaller = [one for one in DIFFERENCES if found is None or one < found]
    return (first, *(_takes(difference, typical, examples) for difference in smaller))


def _takes(difference: float, typical: Components, examples: int) -> str:
    *sized, present = needed(difference, typical, examples=examples)
    options = [f"{one.seeds} seeds and {count(one.examples)} examples" for one in sized if one.examples]
    if present.seeds:
        options.append(f"{present.seeds} seeds and these {count(examples)} examples")
    return f"  a difference of {difference} takes {', or '.join(options) or 'more than can be had'}"
