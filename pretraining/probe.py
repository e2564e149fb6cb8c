"""Print how well a model does each task of the mixture, on rows that training has not drawn.

The rows are new, but made from the same sources: this shows what the model has learned to do, not how it
generalizes to other text.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from batches import SECOND_SHARES, Mixture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", default="tiny", help="folder within work")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--shown", type=int, default=0, help="print so many rows of each task")
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.work / arguments.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(arguments.work / arguments.model, dtype=torch.float32)
    mixture = Mixture(arguments.work, tokenizer, seed=0, shares=SECOND_SHARES)
    for task in SECOND_SHARES:
        if task == "span":
            continue
        draw = random.Random(f"probe-{task}")
        rows = [mixture.pair(task, draw) for _ in range(arguments.rows)]
        answers = written(model.eval(), tokenizer, [source for source, _ in rows])
        wanted = [" ".join(tokenizer.decode(tokenizer(target).input_ids[:63]).split()) for _, target in rows]
        print(json.dumps({"task": task, **scores(answers, [w.removesuffix(" [SEP]") for w in wanted])}))
        for (source, target), answer in list(zip(rows, answers, strict=True))[: arguments.shown]:
            print(f"  {source}\n    wanted: {target}\n    answer: {answer}")


@torch.no_grad()
def written(model, tokenizer, sources: list[str], size: int = 25) -> list[str]:
    answers = []
    for at in range(0, len(sources), size):
        batch = tokenizer(
            sources[at : at + size], return_tensors="pt", padding=True, truncation=True, max_length=192
        )
        ids = model.generate(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, max_new_tokens=64
        )
        answers += tokenizer.batch_decode(ids, skip_special_tokens=True)
    return answers


def scores(answers: list[str], wanted: list[str]) -> dict[str, float]:
    scorer = RougeScorer(["rouge1"])
    rouge = [scorer.score(w, a)["rouge1"].fmeasure for a, w in zip(answers, wanted, strict=True)]
    exact = [a == w for a, w in zip(answers, wanted, strict=True)]
    return {"exact": round(sum(exact) / len(exact), 3), "rouge1": round(sum(rouge) / len(rouge), 3)}


if __name__ == "__main__":
    main()
