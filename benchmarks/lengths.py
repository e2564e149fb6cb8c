"""Rows of the token lengths of SST-2 and SAMSum, with random words in them: for timing, not for learning."""

import csv
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from prepare_realdata import FLAN_T5_SMALL, random_model

WORDS = FLAN_T5_SMALL.vocab_size
FIRST_WORD = 3
"""After padding, the end of sequence and the unknown word."""
QUANTILES = {
    "sst2": {
        "input": [15, 21, 24, 26, 28, 30, 32, 34, 36, 38, 39, 41, 43, 45, 48, 50, 53, 57, 60, 67, 117],
        "target": [2, 2],
    },
    "samsum": {
        "input": [
            7,
            38,
            47,
            56,
            64,
            72,
            80,
            89,
            101,
            113,
            125,
            139,
            155,
            170,
            188,
            208,
            231,
            261,
            302,
            373,
            512,
        ],
        "target": [2, 10, 12, 14, 16, 17, 19, 20, 22, 23, 25, 27, 29, 32, 34, 37, 40, 45, 50, 59, 94],
    },
}
"""Tokens of inputs (with a prompt) and targets, at equal steps from the shortest to the longest row.

Measured with T5's tokenizer on 6,920 sentences of SST-2 and 14,732 dialogues of SAMSum.
"""


def tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer of the words `w3` to `w32127`, one token each."""
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"w{n}": n for n in range(FIRST_WORD, WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def write_model(folder: Path) -> None:
    """Write a model of flan-t5-small's geometry with random weights, and the tokenizer of words."""
    random_model().save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def write_rows(folder: Path, task: str, *, train: int, test: int, longest: int) -> None:
    """Write `TASK-train` and `TASK-test` as CSV (text, label) or JSON (dialogue, summary)."""
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", train), ("test", test)):
        inputs = _texts(QUANTILES[task]["input"], count, longest, generator)
        if task == "sst2":
            with (folder / f"sst2-{split}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                writer.writerows([text, row % 2] for row, text in enumerate(inputs))
        else:
            targets = _texts(QUANTILES[task]["target"], count, longest, generator)
            rows = [
                {"dialogue": text, "summary": target} for text, target in zip(inputs, targets, strict=True)
            ]
            (folder / f"samsum-{split}.json").write_text(json.dumps(rows), encoding="utf-8")


def _texts(quantiles: list[int], count: int, longest: int, generator: torch.Generator) -> list[str]:
    """Return texts whose token counts, ends included, follow the quantiles."""
    places = torch.rand(count, generator=generator, dtype=torch.float64) * (len(quantiles) - 1)
    low = places.long()
    table = torch.tensor(quantiles, dtype=torch.float64)
    lengths = (table[low] + (places - low) * (table[low + 1] - table[low])).round().clamp(max=longest)
    return [
        " ".join(
            f"w{word}" for word in torch.randint(FIRST_WORD, WORDS, (int(length) - 1,), generator=generator)
        )
        for length in lengths
    ]
