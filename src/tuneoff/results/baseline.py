"""What a classical baseline leaves: plain data beside the records of runs."""

from pydantic import Field, NonNegativeFloat

from tuneoff.results.format import FileChecksum
from tuneoff.spec import Spec, Task, TrainSize
from tuneoff.spec.base import Name


class BaselineRecord(Spec):
    """All that is known of a baseline on one task and train size. Two equal ones differ in `seconds` only."""

    task_name: Name
    name: Name
    task: Task
    train_size: TrainSize
    seed: int
    """Of the study; it draws the training rows, as it does for a run."""
    scores: dict[str, float]
    """Test scores: the task's metrics, as fractions."""
    seconds: NonNegativeFloat
    """Wall time of fitting and answering. Not reproducible by nature."""
    upper_bound: bool
    """The answers were chosen with the references in view: what a method of this kind could reach at most."""
    digests: dict[str, str]
    """SHA-256 of each split's rows as loaded."""
    packages: dict[str, str]
    """Versions of what fits and scores."""
    files: dict[str, FileChecksum] = Field(default_factory=dict)
    """Its predictions, by file name; empty in records of older versions."""
    all_names: tuple[str, ...] = ()
    """Of the baselines that suit the task, this one among them; empty in records of older versions."""
    scoring: dict[str, str] = Field(default_factory=dict)
    """The tokenizer that cuts texts into words, and the version of Unicode that it follows."""
