"""What tuning makes a model forget: its loss on general text, before and after.

Texts are read as they are, without a prompt of a task and without the chat template. What a method itself
puts in front of every input (a soft prompt, a prefix) is there, since it is in front of whatever the tuned
model is given; the untouched model has nothing in front.

What is predicted is what models of the family were pretrained for, since what a model never learned it cannot
forget:

- continuation: a decoder-only model predicts each token of a text but the first; a model with an encoder
  reads the first half of the tokens and predicts the second (prefix language modeling);
- span corruption, for T5: three tokens of about each twenty are hidden behind a sentinel token, and the model
  predicts each sentinel with what it hides (Raffel et al. 2020). Spans are at even distances, and so the same
  in every run.

That a text ends is never predicted, as tuning on short targets alone would change it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, takewhile

import torch
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import DataError, StudyError
from tuneoff.families import Family
from tuneoff.interrupts import raise_if_interrupted
from tuneoff.results import Forgetting
from tuneoff.results.forgetting import TextLoss
from tuneoff.spec import ForgettingSpec, RunSpec
from tuneoff.spec.forgetting import Objective
from tuneoff.tasks import texts_digest
from tuneoff.training.backbone import Backbone
from tuneoff.training.batches import Encoded, collate, length_sorted_batches
from tuneoff.training.likelihood import target_losses
from tuneoff.training.precision import Dtype, autocast
from tuneoff.training.session import Session

SPAN_LENGTH, SPAN_DISTANCE = 3, 20
"""Tokens of a hidden span, and those from the start of one to the next: as in T5, 15% are hidden."""


@dataclass(frozen=True)
class GeneralText:
    """General texts as a model reads them, and what the untouched model makes of them."""

    encoded: dict[int, Encoded]
    """What is read and what is predicted of each text with at least two tokens, by the text's number."""
    objective: Objective
    digest: str
    before: tuple[float, ...]
    """The untouched model's loss on each of these texts, in nats."""

    def losses(self, after: Sequence[float]) -> list[TextLoss]:
        """Return the row of each text, given the tuned model's losses in nats."""
        return [
            TextLoss(row, len(text.labels), before / len(text.labels), loss / len(text.labels))
            for (row, text), before, loss in zip(self.encoded.items(), self.before, after, strict=True)
        ]

    def report(self, after: Sequence[float]) -> Forgetting:
        """Return the part of a record, given the tuned model's losses in nats."""
        tokens = sum(len(text.labels) for text in self.encoded.values())
        return Forgetting(
            objective=self.objective,
            before=sum(self.before) / tokens,
            after=sum(after) / tokens,
            texts=len(self.encoded),
            tokens=tokens,
            truncated=sum(text.truncated_target for text in self.encoded.values()),
            digest=self.digest,
        )


def general_text(run: RunSpec, backbone: Backbone, session: Session, dtype: Dtype) -> GeneralText | None:
    """Return the general texts of a run, measured on the untouched model; None if its study has none.

    The untouched model is measured once in a session.

    Raises:
        DataError: the texts cannot be used.
    """
    spec = run.forgetting
    if spec is None:
        return None
    texts = session.general_texts(spec)
    encoded, digest = encode_texts(texts, backbone, spec), texts_digest(spec, texts)
    size = run.training.per_device_eval_batch_size
    # the key has the batch size, as padding changes the last bits
    key = (backbone.identity(run.model).model_dump_json(), digest, dtype, size)
    before = session.untouched_losses.get(key)
    if before is None:
        check_fits(backbone.family, encoded.values())
        before = text_losses(
            backbone.family, [*encoded.values()], tokenizer=backbone.tokenizer, batch_size=size, dtype=dtype
        )
        session.untouched_losses[key] = before
    return GeneralText(encoded, objective_of(backbone, spec), digest, before)


def encode_texts(texts: Sequence[str], backbone: Backbone, spec: ForgettingSpec) -> dict[int, Encoded]:
    """Return what is read and what is predicted of each text, by its number; without those of one token.

    Raises:
        DataError: no text has two tokens.
    """
    tokenizer, objective = backbone.tokenizer, objective_of(backbone, spec)
    opening, closing = _special_ids(tokenizer)
    sentinels = sentinel_ids(tokenizer)
    encoded = {}
    for row, ids in enumerate(tokenizer([*texts], add_special_tokens=False, verbose=False)["input_ids"]):
        if len(ids) < 2:
            continue
        text = ids[: spec.max_length]
        if backbone.family.encoder is None:
            whole = [*opening, *text]
            read, predicted = whole[:1], whole[1:]
        elif objective == "span_corruption":
            left, predicted = corrupted(text, sentinels)
            read = [*opening, *left, *closing]
        else:
            half = len(text) // 2
            read, predicted = [*opening, *text[:half], *closing], text[half:]
        encoded[row] = Encoded(
            input_ids=read,
            labels=predicted,
            label=None,
            truncated_input=False,
            truncated_target=len(ids) > spec.max_length,
        )
    if not encoded:
        raise DataError(
            "forgetting is measured on texts of two tokens or more, but none has as many in the model's "
            "tokenizer; give other texts (forgetting.texts)"
        )
    return encoded


def objective_of(backbone: Backbone, spec: ForgettingSpec) -> Objective:
    """Return what is predicted of a text: what the study says, or what the model was pretrained for.

    Raises:
        StudyError: the model cannot have been pretrained for it.
    """
    can_fill = backbone.family.encoder is not None and bool(sentinel_ids(backbone.tokenizer))
    if spec.objective == "span_corruption" and not can_fill:
        raise StudyError(
            "forgetting.objective: span_corruption is for models with an encoder and T5's sentinel tokens "
            "(<extra_id_0>), which this one has not; leave out objective"
        )
    return spec.objective or ("span_corruption" if can_fill else "continuation")


def sentinel_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of T5's sentinel tokens, the first one first; none where the tokenizer has none."""
    vocabulary = tokenizer.get_vocab()
    # mT5's are pieces of its vocabulary that begin a word
    names = ((f"<extra_id_{number}>", f"\u2581<extra_id_{number}>") for number in count())
    found = ([vocabulary[name] for name in pair if name in vocabulary] for pair in names)
    return [ids[0] for ids in takewhile(bool, found)]


def corrupted(text: Sequence[int], sentinels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Hide spans of a text of two tokens or more; return it with sentinels in their place, and the spans.

    Each span follows its sentinel: 1 2 3 4 5 gives 1 S 5 and S 2 3 4.
    """
    number = min(max(1, round(len(text) / SPAN_DISTANCE)), len(sentinels))
    length = min(SPAN_LENGTH, len(text) - 1)
    read, hidden, end = list[int](), list[int](), 0
    for index in range(number):
        # in the middle of the index-th of as many equal parts of the text as there are spans
        start = int((index + 0.5) * len(text) / number - length / 2)
        read += [*text[end:start], sentinels[index]]
        end = start + length
        hidden += [sentinels[index], *text[start:end]]
    return [*read, *text[end:]], hidden


def check_fits(family: Family, encoded: Iterable[Encoded], prompt_ids: Sequence[int] = ()) -> None:
    """Refuse texts for which a model has not enough positions.

    Raises:
        StudyError: one is longer, with the `prompt_ids` in front of it.
    """
    most = family.most_tokens
    if most is None:
        return

    def tokens(text: Encoded) -> int:
        """Return the tokens that the text has in one stack."""
        read, predicted = len(prompt_ids) + len(text.input_ids), len(text.labels)
        return read + predicted if family.encoder is None else max(read, predicted + 1)

    longest = max(map(tokens, encoded))
    if longest > most:
        raise StudyError(
            f"a general text must fit into the {most:,} positions of the model, but one has {longest:,} "
            "tokens, with what a method puts in front; lower forgetting.max_length"
        )


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the ids that the tokenizer puts in front of every text, and those behind."""
    text, whole = (tokenizer("a", add_special_tokens=added)["input_ids"] for added in (False, True))
    start = whole.index(text[0])
    return whole[:start], whole[start + len(text) :]


@torch.inference_mode()
def text_losses(
    family: Family,
    encoded: Sequence[Encoded],
    *,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int,
    dtype: Dtype,
    prompt_ids: Sequence[int] = (),
) -> tuple[float, ...]:
    """Return the loss of each text in nats: the sum over the tokens that are predicted."""
    family.model.eval()
    device = family.model.device
    losses = [0.0] * len(encoded)
    lengths = [len(text.input_ids) + len(text.labels) for text in encoded]
    for rows in length_sorted_batches(lengths, batch_size):
        raise_if_interrupted()
        batch = collate(
            [encoded[row] for row in rows],
            prompt_ids=prompt_ids,
            pad_token_id=tokenizer.pad_token_id,
            device=device,
        )
        with autocast(device, dtype):
            found = target_losses(family, **batch).tolist()
        for row, loss in zip(rows, found, strict=True):
            losses[row] = loss
    return tuple(losses)
