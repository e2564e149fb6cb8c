"""The record of a run: what training writes and what reports read."""

from typing import Annotated, Literal

from pydantic import Field

from tuneoff.results.cuts import CutScore
from tuneoff.results.forgetting import Forgetting
from tuneoff.results.format import FileChecksum, InnerPath
from tuneoff.results.identity import ModelIdentity
from tuneoff.results.layout import RunFolder
from tuneoff.spec import RunSpec, Spec

RunState = Literal["complete", "failed", "out_of_memory", "diverged", "cancelled"]
FINISHED: frozenset[RunState] = frozenset({"complete", "diverged"})
"""States that repeating the run would not change."""


class Footprint(Spec):
    """Parameter counts of a method on a model; shared tensors count once."""

    base: int
    """Parameters of the base model, quantized ones as they were before."""
    base_bytes: int | None = None
    """Memory of its weights; None in records of older versions."""
    trainable: int
    """Parameters that the optimizer may change."""
    receiving_gradient: int
    """Parameters that a backward pass reaches."""
    stored: int
    """Parameters in the saved adapter."""
    stored_bytes: int | None = None
    """Size of their tensors; None in records of older versions."""
    deployed: int
    """Parameters added to the base at inference time, after LoRA is merged and prefixes are folded."""

    @property
    def trainable_percent(self) -> float:
        """Trainable parameters in percent of the base's."""
        return 100 * self.trainable / self.base


class SplitReport(Spec):
    """Row counts of one split of a task, from the file to the model."""

    read: int
    """Rows in the source."""
    empty: int
    """Rows dropped because a prompt column or the target was empty."""
    duplicates: int
    """Rows that repeat an earlier one of this split exactly (kept)."""
    overlap: int
    """Rows whose input also occurs in train (0 for train itself)."""
    dropped_overlap: int
    """Overlapping rows dropped by `drop_overlap`."""
    used: int
    """Rows trained on or scored in this run."""
    truncated_inputs: int
    """Used rows whose input was cut to `max_source_length`."""
    truncated_targets: int
    """Used rows whose target was cut to `max_target_length`."""
    pieces: int | None = None
    """Tokens of the used inputs and targets without ends of sequence; an empty text counts as one."""
    unknown_pieces: int | None = None
    """Those of them that stand for text outside the tokenizer's vocabulary."""
    near_overlap: int | None = None
    """Further rows whose input occurs in train, if case, spaces and punctuation are ignored (0 for train
    itself). None, here and below, in records of versions that did not count it."""
    repeated_inputs: int | None = None
    """Rows whose input, with the same ignored, is that of an earlier row of this split (kept)."""
    validation_overlap: int | None = None
    """Test rows whose input, with the same ignored, also occurs in validation (0 for the other splits)."""


class DataReport(Spec):
    """The rows of a task, as a run used them."""

    train: SplitReport
    validation: SplitReport
    test: SplitReport
    carved_validation: bool
    """The validation split was taken from train because the source has none."""
    revision: str | None
    """Commit of a hub data set."""
    digests: dict[str, str]
    """SHA-256 of each split's rows as loaded."""


class TaskShare(Spec):
    """What the training on a mixture took of one of its tasks."""

    rows: int
    """Its training rows."""
    epoch_rows: int
    """How many of them an epoch has: the rates of the tasks are in proportion to these."""
    digests: dict[str, str]
    """SHA-256 of each of its splits' rows as loaded."""


class WeightsOf(Spec):
    """The weights of another run."""

    run_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=+@-]*$")]
    files: dict[InnerPath, FileChecksum]
    """By path relative to that run's folder."""


class Timings(Spec):
    """Wall time of a run in seconds, its speed, and its memory. Not reproducible by nature."""

    setup: float
    train: float
    """Optimizer steps alone, without evaluations. All runs of a mixture have those of their one training, and
    the same of the tokens per second and the memory of training."""
    total: float
    """What the run itself took, so without the training where another run did that."""
    eval_runtime: float
    eval_samples_per_second: float
    eval_steps_per_second: float
    tokens_per_second: float | None = None
    """Input and target tokens trained on, by the time of the optimizer steps; None where nothing is trained,
    and, as all below, in records of older versions."""
    training_peak_bytes: int | None = None
    """Most memory that the process held while it trained; None where the system does not tell."""
    inference_peak_bytes: int | None = None
    """Most memory that the process held while it answered the test split."""
    training_peak_device_bytes: int | None = None
    """Most memory allocated on a CUDA device while training."""
    inference_peak_device_bytes: int | None = None


class Environment(Spec):
    """The machine and the versions that a run was done with."""

    platform: str
    python: str
    packages: dict[str, str]
    device: str
    threads: int
    processes: int = 1
    """That trained the run together."""
    dtype: str
    """Precision of matrix products that `training.dtype` resolved to."""
    model_revision: str | None
    """Commit of a hub model."""


class RunFailure(Spec):
    """Why a run has no scores."""

    kind: str
    message: str


class RunRecord(Spec):
    """The result of one run. If a run is repeated on the same machine, only `timings` differs."""

    run_id: str
    spec: RunSpec
    state: RunState
    scores: dict[str, float] = Field(default_factory=dict)
    """Test scores: `eval_loss` and the task's metrics, as fractions."""
    validation: dict[str, float] = Field(default_factory=dict)
    """Validation scores of the weights that were kept. Of a run that trained a mixture, there are also those
    of its other tasks, as `task/score`."""
    best_step: int | None = None
    """Optimizer step of the weights that were kept; 0 for an untrained method."""
    steps: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Input and target tokens trained on, padding not counted."""
    footprint: Footprint | None = None
    ranks: dict[str, int] = Field(default_factory=dict)
    """Of the update of each layer, by its name, where the method chose them while training."""
    data: DataReport | None = None
    """The rows of its own task."""
    shares: dict[str, TaskShare] = Field(default_factory=dict)
    """Of a mixture, by task."""
    weights_of: WeightsOf | None = None
    """The run that trained and has the weights, where it is another one: in a mixture that of its first
    task."""
    seeds: dict[str, int] = Field(default_factory=dict)
    """The seed of each named stream."""
    timings: Timings | None = None
    environment: Environment | None = None
    scoring: dict[str, str] = Field(default_factory=dict)
    """The tokenizer of ROUGE and the version of Unicode that it follows; empty where no text is compared."""
    forgetting: Forgetting | None = None
    """The loss on general text before and after tuning; None if the study does not measure it."""
    batch_parts: int = 1
    """Parts in which each batch was read as memory had no room for the whole; they give the same gradient."""
    failure: RunFailure | None = None
    model: ModelIdentity | None = None
    """The base model; None if the run failed before it was loaded, and in records of older versions."""
    cuts: tuple[CutScore, ...] = ()
    """What is left of its LoRA at each share that `cuts` of the method asks for."""
    files: dict[InnerPath, FileChecksum] = Field(default_factory=dict)
    """The other files in the run's folder, by relative path."""

    def weights_folder(self, folder: RunFolder) -> RunFolder:
        """Return the folder that has the run's weights, if they were kept, from the run's own."""
        return folder.sibling(self.weights_of.run_id) if self.weights_of else folder

    @property
    def seconds(self) -> float | None:
        """Wall time of the training and what the run did besides; None if it was not timed."""
        if self.timings is None:
            return None
        return self.timings.total + (self.timings.train if self.weights_of else 0.0)

    def has_cuts(self, run: RunSpec) -> bool:
        """Return whether there is every cut of LoRA that a run asks for."""
        return {*run.cuts} <= {cut.keep for cut in self.cuts}
