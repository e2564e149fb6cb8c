"""A model's answers to a split: likelihoods of labels or options, or generated text, and the loss."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import DataError, shown
from tuneoff.families import Context
from tuneoff.interrupts import raise_if_interrupted
from tuneoff.methods import AdaptedModel
from tuneoff.spec import LETTERS, ClassificationSpec, MultipleChoiceSpec, PrefixSpec, Task
from tuneoff.tasks import Example, match_label
from tuneoff.training.batches import IGNORED, Encoded, collate, filled_batches, min_padding_batches
from tuneoff.training.frozen_outputs import Reader
from tuneoff.training.generation import greedy
from tuneoff.training.likelihood import label_losses, option_losses, token_losses
from tuneoff.training.parallel import own_share, put_together
from tuneoff.training.precision import Dtype, autocast
from tuneoff.training.tokenizer import target_ids


class Answer(NamedTuple):
    """A model's answer to one example."""

    prediction: str | None
    """A label's value (None if the generated text is no label), an option's letter, or the generated text."""
    text: str | None
    """The generated text; None where nothing was generated."""
    loss: float
    """Sum over the target's tokens of their negative log-likelihood, in nats; NaN without a target."""
    log_likelihoods: dict[str, float]
    """Of each label's whole text with its end, or of each option's text, by letter; empty where text was
    generated."""
    cut: bool | None
    """Generation reached its token limit without an end of sequence; None where nothing was generated."""


@dataclass(frozen=True)
class Decoder:
    """Computes a model's answers to the examples of one task."""

    adapted: AdaptedModel
    tokenizer: PreTrainedTokenizerBase
    task: Task
    batch_size: int
    dtype: Dtype
    as_long_as_targets: bool = False
    """For timing: generate as many tokens as each target has; a beam search ends as always."""

    @torch.inference_mode()
    def answers(self, encoded: Sequence[Encoded]) -> list[Answer]:
        """Return an answer to each example, in the order of the examples."""
        self.adapted.model.eval()
        with autocast(self.adapted.model.device, self.dtype):
            answers = self._by_generation(encoded) if self.task.generates else self._chosen(encoded)
        answers = dict(put_together(answers.items()))
        return [answers[row] for row in range(len(encoded))]

    def _chosen(self, encoded: Sequence[Encoded]) -> dict[int, Answer]:
        """Return the answers that this process finds, by row, from the likelihoods of labels or options."""
        batches = min_padding_batches([len(example.input_ids) for example in encoded], self.batch_size)
        answers: dict[int, Answer] = {}
        for rows in own_share(batches):
            raise_if_interrupted()
            batch = [encoded[row] for row in rows]
            context, _ = self._read(batch)
            if isinstance(self.task, MultipleChoiceSpec):
                chosen = self._of_options(self.task, batch, context)
            elif isinstance(self.task, ClassificationSpec):
                chosen = self._of_labels(self.task, batch, context)
            else:
                raise ValueError(f"a task of kind {self.task.kind} has nothing to choose from")
            answers |= zip(rows, chosen, strict=True)
        return answers

    def _read(self, batch: Sequence[Encoded]) -> tuple[Context, Tensor]:
        """Read rows; return their context, and their targets [N, T], padded with -100."""
        pad_token_id, device = self.tokenizer.pad_token_id, self.adapted.model.device
        family = self.adapted.family
        if family.encoder is not None and batch[0].frozen_output is None:
            reader = Reader(self.adapted, family.encoder, self.batch_size, pad_token_id, self.dtype)
            outputs = reader.outputs(batch)
            batch = [replace(row, frozen_output=output) for row, output in zip(batch, outputs, strict=True)]
        inputs = collate(batch, prompt_ids=self.adapted.prompt_ids, pad_token_id=pad_token_id, device=device)
        mask = inputs["attention_mask"]
        if family.encoder is not None:
            return family.encoder.context(inputs["frozen_outputs"], mask), inputs["labels"]
        return family.read(inputs["input_ids"], mask), inputs["labels"]

    def _of_labels(
        self, task: ClassificationSpec, batch: Sequence[Encoded], context: Context
    ) -> list[Answer]:
        labels = label_ids(self.tokenizer, task).to(self.adapted.model.device)  # [C, T]
        losses = label_losses(self.adapted.family, context, labels)  # [B, C]
        answers = []
        for encoded, row in zip(batch, (-losses).tolist(), strict=True):
            scores = dict(zip(task.labels, row, strict=True))
            loss = math.nan if encoded.label is None else -scores[encoded.label]
            best = max(scores, key=scores.__getitem__)
            answers.append(Answer(best, text=None, loss=loss, log_likelihoods=scores, cut=None))
        return answers

    def _of_options(
        self, task: MultipleChoiceSpec, batch: Sequence[Encoded], context: Context
    ) -> list[Answer]:
        options = option_ids(batch).to(self.adapted.model.device)  # [N, C, T]
        losses = option_losses(self.adapted.family, context, options)  # [N, C] each
        answers = []
        for encoded, row, whole in zip(batch, losses.text.tolist(), losses.with_end.tolist(), strict=True):
            letters = LETTERS[: len(encoded.options)]
            scores = {letter: -loss for letter, loss in zip(letters, row, strict=False)}
            compared = scores
            if task.length_normalized:
                lengths = dict(zip(letters, encoded.option_lengths, strict=True))
                compared = {letter: score / lengths[letter] for letter, score in scores.items()}
            best = max(compared, key=compared.__getitem__)
            loss = math.nan if encoded.label is None else whole[letters.index(encoded.label)]
            answers.append(Answer(best, text=None, loss=loss, log_likelihoods=scores, cut=None))
        return answers

    def _by_generation(self, encoded: Sequence[Encoded]) -> dict[int, Answer]:
        """Return the answers that this process generates, by row."""
        limit, beams = generation_limits(self.tokenizer, self.task)
        # generation takes a step for each token however few the rows, so batches take as much memory as there
        # is; half of it where two of them are continued together
        lengths = [len(example.input_ids) for example in encoded]
        size = self.batch_size // 2 if self._joins else self.batch_size
        batches = own_share(filled_batches(lengths, size, written=limit * beams))
        rows = [row for batch in batches for row in batch]
        if not rows:  # one of several processes may have none
            return {}
        losses = list[float]()

        def contexts() -> Iterator[Context]:
            for batch in batches:
                raise_if_interrupted()
                context, targets = self._read([encoded[row] for row in batch])
                # what the losses have computed of the input stays in the context, and generation reuses it
                losses.extend(self._losses(context, targets).tolist())
                yield context

        generated = self._generated(contexts(), [encoded[row] for row in rows])
        texts = [text.strip() for text in self.tokenizer.batch_decode(generated, skip_special_tokens=True)]
        without_end = (generated != self.tokenizer.eos_token_id).all(dim=1).tolist()
        predict = self._reader()
        return {
            row: Answer(predict(text), text=text, loss=loss, log_likelihoods={}, cut=cut)
            for row, text, loss, cut in zip(rows, texts, losses, without_end, strict=True)
        }

    def _generated(self, contexts: Iterator[Context], rows: Sequence[Encoded]) -> Tensor:
        """Generate the texts of the contexts' N rows; return their ids, padded after their end: [N, T]."""
        limit, beams = generation_limits(self.tokenizer, self.task)
        end, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        if beams > 1:
            found = [
                context.beam_search(max_new_tokens=limit, beams=beams, eos_token_id=end, pad_token_id=pad)
                for context in contexts
            ]
            return torch.cat([F.pad(ids, (0, limit - ids.shape[1]), value=pad) for ids in found])
        lengths = None
        if self.as_long_as_targets:
            lengths = torch.tensor([len(row.labels) for row in rows], device=self.adapted.model.device)
        return greedy(
            self.adapted.family,
            contexts,
            rows=len(rows),
            max_new_tokens=limit,
            eos_token_id=end,
            pad_token_id=pad,
            lengths=lengths,
            joins=self._joins,
        )

    @property
    def _joins(self) -> bool:
        """Whether rows that are at different tokens of their texts are continued together."""
        # a prefix with relative positions is at one distance from all rows
        specs = (part.spec for part in self.adapted.parts)
        is_placed = any(isinstance(spec, PrefixSpec) and spec.relative_positions for spec in specs)
        _, beams = generation_limits(self.tokenizer, self.task)
        return beams == 1 and self.batch_size > 1 and self.adapted.family.joins and not is_placed

    def _reader(self) -> Callable[[str], str | None]:
        """Return a function from a generated text to its prediction."""
        task = self.task
        if not isinstance(task, ClassificationSpec):
            return lambda text: text
        generated = generated_labels(self.tokenizer, task)
        return lambda text: match_label(text, generated, task.labels)

    def _losses(self, context: Context, targets: Tensor) -> Tensor:
        """Compute the negative log-likelihood of each target [N, T], after the input: [N]."""
        context.first()  # which leaves what is computed of the input to all parts
        context.rewind()
        lengths = (targets != IGNORED).sum(dim=1).tolist()
        losses = torch.zeros(len(lengths), device=targets.device)
        for part in min_padding_batches(lengths, len(lengths)):
            rows = torch.tensor(part, device=targets.device)
            own = targets[rows, : lengths[part[0]]]  # the longest is the first
            losses[rows] = token_losses(self.adapted.family, context.only(rows), own).sum(dim=1)
        return losses


def label_ids(tokenizer: PreTrainedTokenizerBase, task: ClassificationSpec) -> Tensor:
    """Return the ids of each label's text with its end of sequence: [C, T], padded with -100."""
    rows = [torch.tensor(ids) for ids in _label_tokens(tokenizer, task).values()]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)


def option_ids(batch: Sequence[Encoded]) -> Tensor:
    """Return the ids of each row's options with their ends of sequence: [N, C, T], padded with -100."""
    most = max(len(row.options) for row in batch)
    longest = max(len(ids) for row in batch for ids in row.options)
    padded = torch.full((len(batch), most, longest), IGNORED)
    for number, row in enumerate(batch):
        for option, ids in enumerate(row.options):
            padded[number, option, : len(ids)] = torch.tensor([*ids])
    return padded


def check_options(task: MultipleChoiceSpec, examples: Sequence[Example], encoded: Sequence[Encoded]) -> None:
    """Refuse options of which a model cannot tell the likelihood.

    Raises:
        DataError: an option has no tokens but its end, or more than `max_target_length`.
    """
    for example, row in zip(examples, encoded, strict=True):
        for option, ids in zip(example.options, row.options, strict=True):
            if not 2 <= len(ids) <= task.max_target_length:
                raise DataError(
                    f"an option must have 1 to {task.max_target_length - 1} tokens besides its end, but "
                    f"{shown(option)} (row {example.row}) has {len(ids) - 1}; raise max_target_length, or "
                    "correct the row"
                )


def generated_labels(tokenizer: PreTrainedTokenizerBase, task: ClassificationSpec) -> dict[str, str]:
    """Return each label's text, by value, as a model generates it: "non - toxic" for "non-toxic"."""
    tokens = _label_tokens(tokenizer, task)
    texts = tokenizer.batch_decode([*tokens.values()], skip_special_tokens=True)
    return {value: text.strip() for value, text in zip(tokens, texts, strict=True)}


def _label_tokens(tokenizer: PreTrainedTokenizerBase, task: ClassificationSpec) -> dict[str, list[int]]:
    return dict(zip(task.labels, target_ids(tokenizer, [*task.labels.values()]), strict=True))


def check_labels(task: ClassificationSpec, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse labels that a model with this tokenizer cannot give, or cannot distinguish.

    Raises:
        DataError: a label has no tokens or more than `max_target_length`, or two have the same tokens.
    """
    tokens = _label_tokens(tokenizer, task)
    for value, ids in tokens.items():
        text = shown(task.labels[value])
        if ids in (target_ids(tokenizer, [""])[0], [tokenizer.eos_token_id]):
            raise DataError(
                f"a label's text must have tokens in the model's tokenizer, but {text} (of {shown(value)}) "
                f"has none; {_OTHER_TEXT}"
            )
        if len(ids) > task.max_target_length:
            raise DataError(
                f"a label's text must fit into max_target_length={task.max_target_length} tokens, but {text} "
                f"has {len(ids)}; raise max_target_length or shorten the label"
            )
    _check_distinct(task, tokens)
    if task.scoring == "generate":
        _check_readable(task, generated_labels(tokenizer, task))


_OTHER_TEXT = "give it another text in labels, in words that the tokenizer knows"


def _check_distinct(task: ClassificationSpec, tokens: Mapping[str, list[int]]) -> None:
    # in sorted order, a label that others begin with is directly before one of them
    for one, other in pairwise(sorted(tokens, key=tokens.__getitem__)):
        both = f"{shown(task.labels[one])} and {shown(task.labels[other])}"
        if tokens[one] == tokens[other]:
            raise DataError(
                f"labels must differ in the model's tokenizer, but it makes the same tokens of {both}, so "
                f"that no model can choose between them; {_OTHER_TEXT}"
            )
        if tokens[other][: len(tokens[one])] == tokens[one]:
            raise DataError(
                f"a label must not go on after the end of sequence of another, but {both} begin alike; "
                f"{_OTHER_TEXT}"
            )


def _check_readable(task: ClassificationSpec, generated: Mapping[str, str]) -> None:
    for value, text in generated.items():
        found = match_label(text, generated) if text else None
        if found != value:
            rival = shown(task.labels[found]) if found else "nothing"
            raise DataError(
                f"generated labels must differ as the model writes them, but {shown(task.labels[value])} "
                f"reads as {rival}, since it has tokens that are left out of texts; {_OTHER_TEXT}, or take "
                "scoring: likelihood"
            )


def generation_limits(tokenizer: PreTrainedTokenizerBase, task: Task) -> tuple[int, int]:
    """Return the limit of new tokens and the number of beams; a model's own defaults are ignored."""
    match task:
        case ClassificationSpec():
            return label_ids(tokenizer, task).shape[1], 1
        case MultipleChoiceSpec():
            return 0, 1
        case _:
            return task.max_new_tokens, task.num_beams
