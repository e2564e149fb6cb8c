"""The units that results are grouped by, and the pairs of methods that are compared."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple, Self

from tuneoff.spec import RunSpec, TrainSize

UNTRAINED_SIZE: TrainSize = "full"
"""The train size of an untrained method's only cell."""


class TaskSize(NamedTuple):
    """A task at a train size: methods are compared within one."""

    task: str
    train_size: TrainSize


class Cell(NamedTuple):
    """A task, a method and a train size: a row of the summary, over all seeds."""

    task: str
    method: str
    train_size: TrainSize

    @classmethod
    def of(cls, run: RunSpec) -> Self:
        """Return the cell of a run."""
        return cls(run.task_name, run.method_name, run.train_size)

    @property
    def task_size(self) -> TaskSize:
        """The cell without its method."""
        return TaskSize(self.task, self.train_size)


def method_pairs(
    methods: Iterable[str], references: Sequence[str], untrained: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield each method with each reference, as (method, reference).

    Two references meet once: an untrained one, or else the one named first, is then the reference.
    """
    ranked = sorted(references, key=lambda name: name not in untrained)
    for method, reference in product(methods, references):
        if method not in ranked or ranked.index(method) > ranked.index(reference):
            yield method, reference
