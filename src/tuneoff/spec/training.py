"""The conditions of training. Names are those of transformers' `Seq2SeqTrainingArguments`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from tuneoff.spec.base import LISTS, Fraction, Scheduler, Spec

Tracker = Literal["tensorboard", "mlflow", "wandb", "trackio"]


def _listed(trackers: Any) -> Any:
    """Return a list of trackers, where one is named alone or `none`, as for transformers' Trainer."""
    if isinstance(trackers, str):
        return () if trackers == "none" else (trackers,)
    return trackers


class DropoutSpec(Spec):
    """Dropout rates in training; where one is null, the model's own config applies."""

    encoder: Fraction | None = None
    """Everywhere in the encoder. At 0, a method in the decoder alone is trained on cached encoder outputs."""
    decoder: Fraction | None = None
    """Everywhere in the decoder."""
    attention: Fraction | None = None
    """Of the weights inside attention, in both stacks; it takes precedence over the other two."""


class TrainingSpec(Spec):
    """The conditions that all trained methods share."""

    max_steps: PositiveInt | None = None
    """Optimizer steps of a run; either this or `num_train_epochs` is given."""
    num_train_epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Times that the training rows are read."""
    per_device_train_batch_size: PositiveInt = 16
    """Rows of a batch in training."""
    per_device_eval_batch_size: PositiveInt = 32
    """Rows of a batch in evaluation and testing, the longest ones where texts are generated: of shorter ones
    there are as many as take the same memory. It does not change results."""
    gradient_accumulation_steps: PositiveInt = 1
    """Batches of a step; less memory for the same step than one large batch."""
    group_by_length: bool = True
    """Batches of similar input length, in random order."""
    eval_steps: PositiveInt = 500
    """Steps from one evaluation on validation to the next; there is always one at the end."""
    logging_steps: PositiveInt = 10
    """Steps over which a point of the loss curve is a mean."""
    early_stopping_patience: PositiveInt | None = None
    """Stop after this many evaluations without a better validation metric."""
    load_best_model_at_end: bool = True
    """Test the weights with the best validation metric, or those of the last step: of few validation rows,
    the best of many evaluations is largely chance."""
    lr_scheduler_type: Scheduler = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_ratio: Fraction = 0.0
    """Share of the steps in which the learning rate rises from 0."""
    weight_decay: NonNegativeFloat = 0.0
    """Of the optimizer, for all trained weights but biases and norms."""
    max_grad_norm: PositiveFloat | None = 1.0
    """Gradients with a larger norm are scaled down to it; null: never."""
    dropout: DropoutSpec = DropoutSpec()
    """Dropout rates, where they shall not be the model's own."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; weights stay float32. `auto`: bfloat16 where the device has it."""
    save_strategy: Literal["best", "no"] = "best"
    """Keep the tested weights of each run on disk, or only its scores and predictions."""
    save_steps: PositiveInt | None = None
    """Steps between two checkpoints, from which a run that was stopped goes on; null: ten minutes. A run has
    one at a time, and none when it has ended."""
    report_to: Annotated[tuple[Tracker, ...], LISTS, BeforeValidator(_listed)] = ()
    """Trackers that runs are reported to while they go on; each needs the extra of its name."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.max_steps is None) == (self.num_train_epochs is None):
            raise ValueError(
                "exactly one of max_steps and num_train_epochs must be given, "
                f"but got max_steps={self.max_steps}, num_train_epochs={self.num_train_epochs}"
            )
        return self

    @model_validator(mode="after")
    def _stops_at_the_best(self) -> Self:
        if self.early_stopping_patience and not self.load_best_model_at_end:
            raise ValueError(
                "early stopping returns to the best weights, but got "
                f"early_stopping_patience={self.early_stopping_patience} with load_best_model_at_end=False; "
                "remove one of them"
            )
        return self
