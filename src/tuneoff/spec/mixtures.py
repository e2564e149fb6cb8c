"""Mixtures: several tasks that one training is on, each of which is then tested."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from tuneoff.spec.base import LISTS, Name, Spec
from tuneoff.spec.tasks import Task

Rate = Literal["proportional", "equal"]
MIXTURE_SCORE = "eval_mixture"
"""The mean of the main metrics of a mixture's tasks on validation, which all lie in 0..1."""


class MixtureSpec(Spec):
    """Several tasks of the study that methods are tuned on together, beside the tuning on each alone."""

    of: Annotated[tuple[Name, ...], LISTS]
    """The tasks."""
    rate: Rate = "proportional"
    """How often rows of a task are drawn: in proportion to its training rows, or as often as those of any
    other (Raffel et al. 2020, T5, section 3.5.2, arXiv:1910.10683)."""
    cap: PositiveInt | None = None
    """At most this many training rows of a task count."""
    methods: Annotated[tuple[Name, ...], Field(min_length=1), LISTS] | None = None
    """The methods that are tuned on it; by default all that train something."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Training settings that differ from the study's; those of the tasks' own do not count."""


class Mixture(Spec):
    """What a run is trained on in place of its own task alone."""

    tasks: dict[Name, Task]
    """In the order of their names. The run of the first one trains; those of the others test its weights."""
    rate: Rate
    cap: PositiveInt | None
