"""The tokenizer of the builtin models with random weights, made from the builtin tasks' words."""

from functools import cache

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import Metaspace
from transformers import PreTrainedTokenizerFast

from tuneoff.tasks.builtin import first_training_rows

_ROWS = 1500
"""Rows of each builtin task that the tokenizer is made from."""


@cache
def random_tokenizer(*, ends_input: bool = True) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the lower-case words of the builtin tasks; other words are split into parts."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    if ends_input:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


@cache
def _texts() -> tuple[str, ...]:
    """Return texts of the builtin training splits."""
    trains = [first_training_rows(name, _ROWS) for name in ("reviews", "dialogues")]
    return tuple(cell for rows in trains for row in rows for cell in row.values())
