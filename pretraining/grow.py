"""Make work/grown from work/first: a model with 4,000 further tokens of MiniLM's vocabulary.

A new token gets MiniLM's embedding in the scale of work/start, shifted by the mean change of rare
tokens in training: the output head is the same matrix, and training moves all tokens without targets alike.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import T5ForConditionalGeneration

from start import check, kept_rows, scaled_embeddings, tokenizer, vocabulary

GROWN = 24_000
RAREST = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    tokens = vocabulary(work)
    old = json.loads((work / "start/minilm_rows.json").read_text(encoding="utf-8"))
    rows = old + sorted(set(kept_rows(tokens, GROWN)) - set(old))
    model = T5ForConditionalGeneration.from_pretrained(work / "first", dtype=torch.float32)
    start = T5ForConditionalGeneration.from_pretrained(work / "start", dtype=torch.float32)
    trained = model.shared.weight.detach().clone()
    moved = (trained - start.shared.weight.detach())[-RAREST:].mean(0)
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    added = scaled_embeddings(work, old, rows[len(old) :]) + moved
    with torch.no_grad():
        model.shared.weight.copy_(torch.cat([trained, added]))
    target = work / "grown"
    model.save_pretrained(target)
    tokenizer([tokens[row] for row in rows]).save_pretrained(target)
    (target / "minilm_rows.json").write_text(json.dumps(rows), encoding="utf-8")
    check(model, target)
    print(f"{target}: {model.num_parameters():,} parameters")


if __name__ == "__main__":
    main()
