"""Makes work/grown from work/first: a model with 4,000 further pieces of MiniLM's vocabulary.

A new piece gets MiniLM's embedding in the scale of work/start, moved by what training moved the rarest pieces
by: the output head is the same matrix, and training pushes all pieces that are never answers the same way.
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
    pieces = vocabulary(work)
    old = json.loads((work / "start/minilm_rows.json").read_text(encoding="utf-8"))
    rows = old + sorted(set(kept_rows(pieces, GROWN)) - set(old))
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
    tokenizer([pieces[row] for row in rows]).save_pretrained(target)
    (target / "minilm_rows.json").write_text(json.dumps(rows), encoding="utf-8")
    check(model, target)
    print(f"{target}: {model.num_parameters():,} parameters")


if __name__ == "__main__":
    main()
