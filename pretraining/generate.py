"""Let SmolLM2 write chats with summaries, events and reviews; append what passes the filters to a file.

A batch is a pure function of the seed, its number and the rows before it, and ends with a line of its own.
So a run that was stopped goes on after the last whole batch, and leaves the file that one long run leaves
(with equal threads on one machine: others round products differently, and so write other texts).
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from filters import Known, letters
from ratings import vader
from sampling import Sampler
from tuneoff.kernels import keep_freed_memory
from tuneoff.spec import ModelSpec
from tuneoff.tasks.builtin import builtin_tables
from tuneoff.training import load_backbone
from tuneoff.training.precision import resolve_dtype
from writing import Judge, Row, Writer, write_chats, write_reviews

KINDS = (write_chats, write_chats, write_reviews)
"""What batches write, in turn."""
_END = '{"kind": "batch"'
_TEXTS = {"text", "dialogue", "summary"}
"""The columns of the builtin tasks that hold text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=60, help="stop after the batch in which these pass")
    parser.add_argument("--threads", type=int, default=2, help="their number changes what is written")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="files of sentences to leave out")
    arguments = parser.parse_args()
    lines = [line for path in arguments.exclude for line in path.read_text("utf-8").splitlines()]
    judge = Judge(
        vader(arguments.work / "sources"), frozenset(map(letters, lines)), Known(3, 0.5, builtin_texts())
    )
    writer = smollm2(arguments.threads)
    end = time.monotonic() + arguments.minutes * 60
    generate(
        arguments.work / "generated.jsonl",
        writer,
        judge,
        seed=arguments.seed,
        is_over=lambda: time.monotonic() > end,
    )


def generate(path: Path, writer: Writer, judge: Judge, *, seed: int, is_over: Callable[[], bool]) -> None:
    """Append batches to a file until the time is over; go on after the last batch that is whole."""
    rows = whole_batches(path)
    for row in rows:
        if row["kind"] != "batch":
            judge.before.add(" ".join(row["lines"]))
    number = sum(row["kind"] == "batch" for row in rows)
    while not is_over():
        began, processor, written = time.monotonic(), time.process_time(), writer.written
        batch = KINDS[number % len(KINDS)](writer, judge, random.Random(f"{seed}-{number}"))
        end = {"kind": "batch", "writer": writer.name, "seed": seed, "tokens": writer.written - written}
        end |= {"dropped": dict(sorted(batch.dropped.items())), "prompts": batch.prompts}
        _append(path, [{**row, "batch": number} for row in (*batch.kept, end)])
        progress = {
            "batch": number,
            "seconds": round(time.monotonic() - began, 1),
            "processor_seconds": round(time.process_time() - processor, 1),
            "tokens": end["tokens"],
            "kept": Counter(row["kind"] for row in batch.kept),
        }
        print(json.dumps(progress), flush=True)
        number += 1


def whole_batches(path: Path) -> list[Row]:
    """Return the rows of all finished batches, and cut off what follows them."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines(keepends=True)
    ends = [at for at, line in enumerate(lines, 1) if line.startswith(_END) and line.endswith("\n")]
    whole = lines[: ends[-1]] if ends else []
    with path.open("r+b") as file:
        file.truncate(len("".join(whole).encode()))
    return [json.loads(line) for line in whole]


def _append(path: Path, rows: Iterable[Row]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def smollm2(threads: int) -> Writer:
    """Return SmolLM2, in bfloat16 where the processor multiplies it."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    base = load_backbone(ModelSpec(id="builtin:smollm2"))
    dtype = getattr(torch, resolve_dtype("auto", torch.device("cpu")))
    name = (
        f"builtin:smollm2 {(base.digest or '')[:12]}, {dtype}, {threads} threads, torch {torch.__version__}"
    )
    return Sampler(base.model.to(dtype), base.tokenizer, name)


def builtin_texts() -> set[str]:
    """Return every turn, summary and review of the builtin tasks."""
    texts = set()
    for name in ("reviews", "dialogues"):
        for table in builtin_tables(name).values():
            for record in table.records:
                for column in _TEXTS & record.cells.keys():
                    texts.update(line.split(": ", 1)[-1] for line in str(record.cells[column]).split("\n"))
    return texts


if __name__ == "__main__":
    main()
