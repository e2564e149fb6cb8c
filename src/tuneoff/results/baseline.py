"""The record of a classical baseline, beside the records of runs."""

from pydantic import Field, NonNegativeFloat

from tuneoff.results.format import FileChecksum, InnerPath
from tuneoff.spec import Spec, Task, TrainSize
from tuneoff.spec.base import Name


class BaselineRecord(Spec):
    """The result of a baseline on one task and train size. If it is repeated, only `seconds` differs."""

    task_name: Name
    name: Name
    task: Task
    train_size: TrainSize
    seed: int
    """A seed of the study, which draws the training rows as it does for a run."""
    scores: dict[str, float]
    """Test scores: the task's metrics, as fractions."""
    seconds: NonNegativeFloat
    """Wall time of fitting and predicting; not reproducible."""
    upper_bound: bool
    """The predictions were chosen by the references: the most that a method of this kind could reach."""
    digests: dict[str, str]
    """SHA-256 of each split's rows as loaded."""
    packages: dict[str, str]
    """Versions of the packages that fit and score."""
    files: dict[InnerPath, FileChecksum] = Field(default_factory=dict)
    """Its predictions, by file name; empty in records of older versions."""
    all_names: tuple[str, ...] = ()
    """Names of all baselines that suit the task, this one among them; empty in records of older versions."""
    scoring: dict[str, str] = Field(default_factory=dict)
    """The tokenizer that cuts texts into words, and the version of Unicode that it follows."""
