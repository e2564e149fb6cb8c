"""A run that is ready for its first step: model, method and rows in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import PartialState
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import StudyError
from tuneoff.families import FrozenPart
from tuneoff.methods import AdaptedModel, attach, footprint, load
from tuneoff.results import Footprint
from tuneoff.results.layout import RunFolder
from tuneoff.results.predictions import Prediction
from tuneoff.spec import RunSpec, SplitName
from tuneoff.training.backbone import Backbone
from tuneoff.training.batches import Encoded, collate
from tuneoff.training.data import RunData, run_data
from tuneoff.training.decode import Answer, Decoder, generation_limits
from tuneoff.training.forgetting import GeneralText, check_fits, general_text
from tuneoff.training.frozen_outputs import Reader, frozen_part
from tuneoff.training.loop import total_steps
from tuneoff.training.mixing import Mixing
from tuneoff.training.precision import Dtype, autocast, prepare_frozen, resolve_dtype
from tuneoff.training.scores import predictions_of, scores_of
from tuneoff.training.seeding import generator
from tuneoff.training.session import Session


@dataclass(frozen=True)
class Prepared:
    """A run that is ready for its first step."""

    spec: RunSpec
    backbone: Backbone
    data_by_task: Mapping[str, RunData]
    """Of the run's own task, and of the others of the mixture that it trains."""
    adapted: AdaptedModel
    dtype: Dtype
    session: Session
    general: GeneralText | None = None
    """The texts on which forgetting is measured, if the study measures it."""
    parts: int = 1
    """Into which each batch is divided, for lack of memory."""

    @property
    def data(self) -> RunData:
        """Return the rows of the run's own task."""
        return self.data_by_task[self.spec.task_name]

    @property
    def members(self) -> tuple["Prepared", ...]:
        """Return the runs that share the training, each on its own task; of most runs, the run itself."""
        return tuple(replace(self, spec=one) for one in self.spec.members)

    @property
    def mixing(self) -> Mixing | None:
        """Return which training rows make an epoch of a mixture; None for a run on its own task alone."""
        return self.session.mixing(self.spec)

    @property
    def steps(self) -> int:
        """Return the number of optimizer steps."""
        return total_steps(self.spec.training, self.session.epoch_rows(self.spec))

    @property
    def decoder(self) -> Decoder:
        """Return the decoder of the run's examples."""
        size = self.eval_batch_size
        return Decoder(self.adapted, self.backbone.tokenizer, self.spec.task, size, self.dtype)

    @property
    def eval_batch_size(self) -> int:
        """Return the rows of a batch in evaluation."""
        return max(1, self.spec.training.per_device_eval_batch_size // self.parts)

    def answers(self, split: SplitName) -> list[Answer]:
        """Return the model's answers to a split."""
        return self.decoder.answers(self.rows(split))

    def scores(self, split: SplitName, answers: list[Answer]) -> dict[str, float]:
        """Return the scores of answers to a split."""
        return scores_of(self.spec.task, self.data.examples[split], self.data.encoded[split], answers)

    def predictions(self, split: SplitName, answers: list[Answer]) -> list[Prediction]:
        """Return the prediction for each example of a split."""
        return predictions_of(self.spec.task, self.data.examples[split], self.data.encoded[split], answers)

    def train_rows(self) -> Sequence[Encoded]:
        """Return the training rows, with outputs of the frozen part where these can be cached and it pays."""
        rows, training = self._encoded_train(), self.spec.training
        batch_size = training.per_device_train_batch_size * training.gradient_accumulation_steps
        if self.steps * batch_size < len(rows):
            return rows  # for less than one epoch, reading all of them is a waste
        part = frozen_part(self.adapted, self.dtype)
        # with dropout, every epoch needs other outputs
        if part is None or part.reads_with_dropout():
            return rows
        return self._with_frozen_outputs(rows, part)

    def _encoded_train(self) -> list[Encoded]:
        """Return the training rows, of a mixture those of all its tasks, one task after the other."""
        return [row for one in self.members for row in one.data.encoded["train"]]

    def rows(self, split: SplitName) -> Sequence[Encoded]:
        """Return the rows of a split, with their encoder outputs where the encoder is frozen."""
        rows = self.data.encoded[split]
        part = frozen_part(self.adapted, self.dtype) if self.adapted.family.encoder else None
        return rows if part is None else self._with_frozen_outputs(rows, part)

    def _with_frozen_outputs(self, rows: Sequence[Encoded], part: FrozenPart) -> Sequence[Encoded]:
        pad_token_id = self.backbone.tokenizer.pad_token_id
        reader = Reader(self.adapted, part, self.eval_batch_size, pad_token_id, self.dtype)
        return self.session.frozen_outputs.added_to(rows, reader)

    def train_batch(self, size: int) -> dict[str, torch.Tensor]:
        """Return a batch of the longest training rows, or of test rows where nothing is trained."""
        rows = self._encoded_train() or self.data.encoded["test"]
        rows = sorted(rows, key=lambda row: -len(row.input_ids))[:size]
        return collate(
            rows,
            prompt_ids=self.adapted.prompt_ids,
            pad_token_id=self.backbone.tokenizer.pad_token_id,
            device=self.adapted.model.device,
        )

    def footprint(self) -> Footprint:
        """Count the method's parameters."""
        with autocast(self.adapted.model.device, self.dtype):
            return footprint(self.adapted, self.train_batch(1))


def prepare(spec: RunSpec, session: Session) -> Prepared:
    """Load data and model of a run, and attach the method to the model.

    Raises:
        InputError: the model or the data cannot be used.
    """
    backbone, dtype = model_on_device(spec, session)
    backbone.family.set_dropout(spec.training.dropout)
    data = {one.task_name: run_data(one, backbone.tokenizer, session) for one in spec.members}
    general = general_text(spec, backbone, session, dtype)  # while the model is untouched
    adapted = attach(
        backbone.model, spec.method, generator=generator(spec.seed, "init"), tokenizer=backbone.tokenizer
    )
    prepare_frozen(backbone.model, dtype)
    for one in spec.members:
        _check_lengths(one, adapted, data[one.task_name], backbone.tokenizer)
    if general is not None:
        check_fits(adapted.family, general.encoded.values(), adapted.prompt_ids)
    return Prepared(spec, backbone, data, adapted, dtype, session, general)


def model_on_device(spec: RunSpec, session: Session) -> tuple[Backbone, Dtype]:
    """Load the model of a run onto the device, and choose the precision of its products."""
    device = PartialState().device
    backbone = session.load_backbone(spec.model)
    backbone.model.to(device)
    return backbone, resolve_dtype(spec.training.dtype, device)


def prepare_trained(spec: RunSpec, source: RunFolder, session: Session) -> Prepared:
    """Load the data and the model of a run, and put the weights of another one on it, ready for the test."""
    backbone, dtype = model_on_device(spec, session)
    data = {spec.task_name: run_data(spec, backbone.tokenizer, session)}
    general = general_text(spec, backbone, session, dtype)  # while the model is untouched
    adapted = load(backbone.model, source.adapter)
    prepare_frozen(backbone.model, dtype)
    return Prepared(spec, backbone, data, adapted, dtype, session, general)


def _check_lengths(
    spec: RunSpec, adapted: AdaptedModel, data: RunData, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Refuse rows for which a model has not enough positions."""
    most, is_one_stack = adapted.family.most_tokens, adapted.family.encoder is None
    if most is None:
        return
    generated, _ = generation_limits(tokenizer, spec.task)

    def tokens(row: Encoded) -> int:
        """Return the tokens that the row has in one stack."""
        source = len(adapted.prompt_ids) + len(row.input_ids)
        target = max(generated, *map(len, (row.labels, *row.options)))
        # a decoder of its own is given a token or two to start with, but not the last of the target
        return source + target if is_one_stack else max(source, target + 1)

    longest = max(tokens(row) for rows in data.encoded.values() for row in rows)
    if longest > most:
        subject = "an input with its target" if is_one_stack else "an input and a target each"
        raise StudyError(
            f"{subject} must fit into the {most:,} positions of the model, but task '{spec.task_name}' "
            f"has one of up to {longest:,} tokens; lower its max_source_length or max_target_length"
        )
