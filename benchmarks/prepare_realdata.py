"""Write the files that `realdata.yaml` reads: real data, and a model of flan-t5-small's true geometry.

    python benchmarks/prepare_realdata.py FOLDER

FOLDER holds `sst2/stsa.binary.{train,dev}` (a label and a sentence a line), `samsum/{train,val}.json`
and `t5-tokenizer/`. The model has random weights: it shows sizes, times and that every loss falls, not
how good a method is. Nothing of this goes into the project: `benchmarks/data/` is not tracked.
"""

import argparse
import csv
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

HERE = Path(__file__).parent / "data"
FLAN_T5_SMALL = T5Config(
    vocab_size=32128,
    d_model=512,
    d_kv=64,
    d_ff=1024,
    num_layers=8,
    num_decoder_layers=8,
    num_heads=6,
    feed_forward_proj="gated-gelu",
    decoder_start_token_id=0,
    tie_word_embeddings=False,
)
"""Source: the config.json of google/flan-t5-small."""


def write_sst2(source: Path, target: Path) -> int:
    """Write sentences as CSV with columns text and label; return their number."""
    rows = [line.split(" ", 1) for line in source.read_text(encoding="utf-8").splitlines()]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, label] for label, text in rows)
    return len(rows)


def write_samsum(source: Path, target: Path) -> int:
    """Write dialogues as JSON; return their number."""
    rows = json.loads(source.read_text(encoding="utf-8"))
    target.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return len(rows)


def random_model() -> T5ForConditionalGeneration:
    """Make a model of flan-t5-small's geometry with random weights."""
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(FLAN_T5_SMALL)
    # transformers builds T5 tied; Flan has its own head, here of a scale that gives moderate logits
    model.lm_head.weight = torch.nn.Parameter(torch.randn(32128, 512) * 512**-0.5)
    return model


def write_model(tokenizer: Path, target: Path) -> int:
    """Write the random model beside the tokenizer; return the number of its parameters."""
    model = random_model()
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(target)
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Write everything and print how much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    HERE.mkdir(exist_ok=True)
    for split, name in (("train", "train"), ("dev", "test")):
        count = write_sst2(folder / f"sst2/stsa.binary.{split}", HERE / f"sst2-{name}.csv")
        print(f"sst2-{name}.csv: {count} sentences")
    for split, name in (("train", "train"), ("val", "test")):
        count = write_samsum(folder / f"samsum/{split}.json", HERE / f"samsum-{name}.json")
        print(f"samsum-{name}.json: {count} dialogues")
    print(f"model: {write_model(folder / 't5-tokenizer', HERE / 'model'):,} parameters")


if __name__ == "__main__":
    main()
