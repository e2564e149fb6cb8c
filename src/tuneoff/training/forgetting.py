"""What tuning makes a model forget: its loss on general text, before and after.

Texts are read as they are, without a prompt of a task and without the chat template. What a method itself
puts in front of every input (a soft prompt, a prefix) is there, since it is in front of whatever the tuned
model is given; the untouched model has nothing in front.

A decoder-only model predicts each token of a text but the first. A model with an encoder reads the first half
of a text's tokens and predicts the second (prefix language modeling). That a text ends is never predicted, as
tuning on short targets alone would change it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from tuneoff.errors import DataError, StudyError
from tuneoff.families import Family
from tuneoff.interrupts import raise_if_interrupted
from tuneoff.results import Forgetting
from tuneoff.results.forgetting import TextLoss
from tuneoff.spec import ForgettingSpec, RunSpec
from tuneoff.tasks import texts_digest
from tuneoff.training.backbone import Backbone
from tuneoff.training.batches import Encoded, collate, length_sorted_batches
from tuneoff.training.likelihood import target_losses
from tuneoff.training.precision import Dtype, autocast
from tuneoff.training.session import Session


@dataclass(frozen=True)
class GeneralText:
    """General texts as a model reads them, and what the untouched model makes of them."""

    encoded: dict[int, Encoded]
    """What is read and what is predicted of each text with at least two tokens, by the text's number."""
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
    return GeneralText(encoded, digest, before)


def encode_texts(texts: Sequence[str], backbone: Backbone, spec: ForgettingSpec) -> dict[int, Encoded]:
    """Return what is read and what is predicted of each text, by its number; without those of one token.

    Raises:
        DataError: no text has two tokens.
    """
    tokenizer = backbone.tokenizer
    opening, closing = _special_ids(tokenizer)
    encoded = {}
    for row, ids in enumerate(tokenizer([*texts], add_special_tokens=False, verbose=False)["input_ids"]):
        if len(ids) < 2:
            continue
        text = [*opening, *ids[: spec.max_length]]
        if backbone.family.encoder is not None:
            half = (len(opening) + len(text)) // 2  # of the text's own tokens
            read, predicted = [*text[:half], *closing], text[half:]
        else:
            read, predicted = text[:1], text[1:]
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
