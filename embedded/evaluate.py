"""Tunes a model fully on SST-2 sentences or SAMSum dialogues and scores it on validation rows.

The data is an argument, never part of the project: stsa.binary.{train,dev}, or samsum {train,val}.json.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
from rouge_score.rouge_scorer import RougeScorer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerBase

Rows = list[tuple[str, str]]
WORDS = {"0": "negative", "1": "positive"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("task", choices=["sst2", "samsum"])
    parser.add_argument("data", type=Path, help="folder of the task's files")
    parser.add_argument("--steps", type=int, default=432, help="432 of 16 rows are one epoch of SST-2")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--rows", type=int, help="score the first rows only")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train, validation = (sst2 if arguments.task == "sst2" else samsum)(arguments.data)
    validation = validation[: arguments.rows]
    torch.manual_seed(arguments.seed)
    model = AutoModelForSeq2SeqLM.from_pretrained(arguments.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    began = time.monotonic()
    tune(model.train(), tokenizer, train, arguments)
    score = accuracy if arguments.task == "sst2" else rouge
    told = {"model": arguments.model.name, "task": arguments.task, "rows": len(validation)}
    told |= {key: getattr(arguments, key) for key in ("steps", "rate", "seed")}
    told |= score(model.eval(), tokenizer, validation)
    print(json.dumps(told | {"seconds": round(time.monotonic() - began)}))


def sst2(folder: Path) -> tuple[Rows, Rows]:
    def rows(part: str) -> Rows:
        lines = (folder / f"stsa.binary.{part}").read_text("utf-8").splitlines()
        return [(f"is this review positive or negative? {line[2:]}", WORDS[line[0]]) for line in lines]

    return rows("train"), rows("dev")


def samsum(folder: Path) -> tuple[Rows, Rows]:
    def rows(part: str) -> Rows:
        chats = json.loads((folder / f"{part}.json").read_text("utf-8"))
        return [(f"summarize: {chat['dialogue']}", chat["summary"]) for chat in chats if chat["dialogue"]]

    return rows("train"), rows("val")


def tune(model, tokenizer: PreTrainedTokenizerBase, rows: Rows, arguments: argparse.Namespace) -> None:
    """AdamW, linear warmup over 6 % of the steps and linear decay, 16 rows a step, order by the seed."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.rate, weight_decay=0.01)
    warm, order = max(1, round(0.06 * arguments.steps)), random.Random(arguments.seed)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 1 - step / arguments.steps)
    )
    queue: Rows = []
    for _ in range(arguments.steps):
        queue = queue or order.sample(rows, len(rows))
        batch, queue = queue[:16], queue[16:]
        encoded = encode(tokenizer, [source for source, _ in batch])
        labels = encode(tokenizer, [target for _, target in batch], 64).input_ids
        model(**encoded, labels=labels.masked_fill(labels == tokenizer.pad_token_id, -100)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], longest: int = 384):
    return tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=longest)


@torch.no_grad()
def accuracy(model, tokenizer: PreTrainedTokenizerBase, rows: Rows) -> dict[str, float]:
    """Share of rows whose own label word is the likelier first piece; both words are one piece."""
    pieces = torch.tensor(tokenizer.convert_tokens_to_ids(list(WORDS.values())))
    start, right = torch.tensor([[model.config.decoder_start_token_id]]), 0
    for at in range(0, len(rows), 64):
        batch = rows[at : at + 64]
        encoded = encode(tokenizer, [source for source, _ in batch])
        logits = model(**encoded, decoder_input_ids=start.expand(len(batch), 1)).logits[:, 0, pieces]
        found = [list(WORDS.values())[i] for i in logits.argmax(1).tolist()]
        right += sum(word == target for word, (_, target) in zip(found, batch, strict=True))
    return {"accuracy": round(right / len(rows), 4)}


@torch.no_grad()
def rouge(model, tokenizer: PreTrainedTokenizerBase, rows: Rows) -> dict[str, float]:
    """Mean F of ROUGE-1, 2 and L with stemming, of greedy summaries of at most 60 pieces."""
    scorer, found = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True), []
    for at in range(0, len(rows), 16):
        batch = rows[at : at + 16]
        written = model.generate(**encode(tokenizer, [source for source, _ in batch]), max_new_tokens=60)
        texts = tokenizer.batch_decode(written, skip_special_tokens=True)
        found += [scorer.score(target, text) for text, (_, target) in zip(texts, batch, strict=True)]
    return {name: round(sum(s[name].fmeasure for s in found) / len(found), 4) for name in found[0]}


if __name__ == "__main__":
    main()
