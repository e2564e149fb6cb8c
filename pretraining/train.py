"""Train one of two stages for some minutes, or continue; leave its model in bfloat16 and a log.

The loss is cross-entropy over the task mixture, plus squared distances, token by token, of projected encoder
states to MiniLM's hidden states. The clock decides only when to stop: what is computed depends on the seed
and on how many pools came before, so several sessions give the log of one long run.
"""

import argparse
import copy
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional
from transformers import AutoTokenizer, BertModel, T5ForConditionalGeneration

from batches import FIRST_SHARES, SECOND_SHARES, Batch, Mixture
from start import MINILM
from tuneoff.training.precision import Dtype, autocast, resolve_dtype

RATE = 0.02
"""Of a matrix's initial RMS, per step: q, whose entries are a sixth of k's, gets a sixth of its rate."""
HIGHEST_RATE = 1e-2
WARMUP_STEPS = 200
CONSTANT_SHARE, LAST_RATE = 0.5, 0.05
"""The full rate for half of the tokens, then linear down to a twentieth."""
FOLLOWED = {1: 2, 2: 3, 3: 5, 4: 6}
"""Which of MiniLM's 6 layers each of our encoder's 4 follows."""
EVERY_LOG, SECONDS_BETWEEN_SAVES = 5, 300


@dataclass(frozen=True)
class Stage:
    """What a part of the training starts from, draws, and leaves."""

    name: str
    """Of the folder that the trained model is written to."""
    start: str
    """The folder that it starts from."""
    shares: Mapping[str, float]
    total: float
    """Tokens at which it ends."""
    rate: float
    """Of the full rates."""
    distil: float
    """Weight of the distance to MiniLM's states."""


STAGES = {
    stage.name: stage
    for stage in (
        Stage("first", start="start", shares=FIRST_SHARES, total=7e6, rate=1.0, distil=1.0),
        Stage("tiny", start="grown", shares=SECOND_SHARES, total=1.5e6, rate=0.5, distil=2.0),
    )
}


class Teacher:
    """MiniLM, which reads the tokens of our trimmed vocabulary under its own ids."""

    def __init__(self, work: Path, start: str) -> None:
        folder = work / MINILM
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
        self.rows = torch.tensor(json.loads((work / start / "minilm_rows.json").read_text(encoding="utf-8")))
        self.begin = (folder / "vocab.txt").read_text("utf-8").split("\n").index("[CLS]")

    @torch.no_grad()
    def states(self, source: torch.Tensor) -> dict[int, torch.Tensor]:
        """Return the normalized hidden states of the followed layers: [B, S] -> {layer: [B, S, 384]}."""
        ids = functional.pad(self.rows[source], (1, 0), value=self.begin)
        mask = functional.pad((source != 0).long(), (1, 0), value=1)
        states = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        return {n: functional.layer_norm(states[n][:, 1:], (384,)) for n in FOLLOWED.values()}


class State:
    """Everything that training continues from."""

    def __init__(self, work: Path, stage: Stage, dtype: Dtype = "float32") -> None:
        """Take the precision of matrix products; weights and losses are float32."""
        start = work / stage.start
        self.dtype: Dtype = dtype
        self.model = T5ForConditionalGeneration.from_pretrained(start, dtype=torch.float32, dropout_rate=0.0)
        width = self.model.config.d_model
        self.projections = torch.nn.ModuleList(torch.nn.Linear(width, 384) for _ in FOLLOWED)
        for projection in self.projections:
            torch.nn.init.eye_(projection.weight)
            torch.nn.init.zeros_(projection.bias)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.step = self.pool = self.tokens = 0
        self.seconds = 0.0
        self.stage = stage

    def _named(self) -> dict[str, torch.nn.Parameter]:
        both = {"model": self.model, "projections": self.projections}
        return {f"{part}.{n}": p for part, module in both.items() for n, p in module.named_parameters()}

    def _groups(self) -> list[dict]:
        def rate(matrix: torch.Tensor) -> float:
            return min(HIGHEST_RATE, RATE * max(matrix.detach().square().mean().sqrt().item(), 0.01))

        return [{"params": [parameter], "lr": rate(parameter)} for parameter in self._named().values()]

    @property
    def finished(self) -> bool:
        """Return whether the stage's tokens are used up."""
        return self.tokens >= self.stage.total

    def schedule(self) -> float:
        """Return the share of the full rate: linear warmup, constant, linear down to `LAST_RATE`."""
        left = max(0.0, 1 - self.tokens / self.stage.total)
        falling = LAST_RATE + (1 - LAST_RATE) * min(1.0, left / (1 - CONSTANT_SHARE))
        return self.stage.rate * min(1.0, (self.step + 1) / WARMUP_STEPS) * falling

    def save(self, path: Path) -> None:
        """Write a new checkpoint beside the old one, then replace it."""
        tensors = {}
        for name, parameter in self._named().items():
            tensors[name] = parameter.detach()
            for kind, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{kind}.{name}"] = value
        counters = {key: json.dumps(getattr(self, key)) for key in ("step", "pool", "tokens", "seconds")}
        save_file(tensors, path.with_suffix(".part"), counters)
        path.with_suffix(".part").replace(path)

    @torch.no_grad()
    def load(self, path: Path) -> None:
        """Restore what `save` wrote."""
        with safe_open(path, "pt") as kept:
            names = set(kept.keys())
            for name, parameter in self._named().items():
                parameter.copy_(kept.get_tensor(name))
                kinds = [kind for kind in ("step", "exp_avg", "exp_avg_sq") if f"{kind}.{name}" in names]
                if kinds:  # not where nothing has been distilled
                    self.optimizer.state[parameter] = {k: kept.get_tensor(f"{k}.{name}") for k in kinds}
            vars(self).update({key: json.loads(value) for key, value in kept.metadata().items()})


@dataclass(frozen=True)
class Plan:
    """How far to go, and what to keep on the way."""

    until: float
    """Seconds of training, earlier sessions included."""
    padded_tokens: int
    snapshots: float
    """Tokens between two exported models."""
    work: Path
    """Where the checkpoint, the log and the models go."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--minutes", type=float, default=30, help="stop after this much training, now")
    parser.add_argument("--tokens", type=int, default=2048, help="padded tokens per step")
    parser.add_argument("--snapshots", type=float, default=1e6, help="tokens between models kept on the way")
    parser.add_argument("--threads", type=int, default=2, help="their number changes the last digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--dtype", choices=("auto", *get_args(Dtype)), default="auto", help="of products, as in tuneoff"
    )
    arguments = parser.parse_args()
    work, stage = arguments.work, STAGES[arguments.stage]
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    state = State(work, stage, resolve_dtype(arguments.dtype, torch.device("cpu")))
    checkpoint = work / f"{stage.name}.checkpoint.safetensors"
    if checkpoint.exists():
        state.load(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(work / stage.start)
    mixture = Mixture(work, tokenizer, arguments.seed, stage.shares)
    until = state.seconds + arguments.minutes * 60
    plan = Plan(until, arguments.tokens, arguments.snapshots, work)
    train(state, mixture, Teacher(work, stage.start), plan)
    if state.finished:
        export(state, work, stage.name)


def train(state: State, mixture: Mixture, teacher: Teacher, plan: Plan) -> None:
    """Train until time or tokens are used up; save between pools only, so continuing changes nothing."""
    name = state.stage.name
    checkpoint, saved = plan.work / f"{name}.checkpoint.safetensors", time.monotonic()
    while state.seconds < plan.until and not state.finished:
        before = state.tokens
        for batch in mixture.pool(state.pool, plan.padded_tokens):
            began = time.monotonic()
            losses = update(state, batch, teacher)
            state.seconds += time.monotonic() - began
            state.step += 1
            if state.step % EVERY_LOG == 0:
                line = {"step": state.step, "tokens": state.tokens, **losses}
                log(plan.work / f"{name}.jsonl", line, state.seconds)
        state.pool += 1
        if before // plan.snapshots < state.tokens // plan.snapshots:
            export(state, plan.work, f"{name}-{state.tokens // plan.snapshots * plan.snapshots:.0f}")
        if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
            state.save(checkpoint)
            saved = time.monotonic()
    state.save(checkpoint)


def update(state: State, batch: Batch, teacher: Teacher) -> dict[str, float]:
    """Do one step; return its losses and the norm of the gradient before clipping."""
    present = batch.source != 0
    distance = torch.zeros(())
    with autocast(batch.source.device, state.dtype):
        output = state.model(
            input_ids=batch.source,
            attention_mask=present.long(),
            decoder_input_ids=state.model.prepare_decoder_input_ids_from_labels(batch.labels),
            output_hidden_states=True,
        )
        if state.stage.distil and batch.clean.any():
            found = [states[batch.clean] for states in output.encoder_hidden_states]
            wanted = teacher.states(batch.source[batch.clean])
            distance = distances(state, found, wanted, present[batch.clean])
    loss = functional.cross_entropy(output.logits.float().flatten(0, 1), batch.labels.flatten())
    if not torch.isfinite(loss + distance):
        raise SystemExit(f"step {state.step}: the loss is not finite")
    (loss + state.stage.distil * distance).backward()
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    for group, rate in zip(state.optimizer.param_groups, state.rates, strict=True):
        group["lr"] = rate * state.schedule()
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.tokens += int(present.sum()) + int((batch.labels != -100).sum())
    return {"loss": loss.item(), "distance": distance.item(), "gradient_norm": norm.item()}


def distances(
    state: State, found: list[torch.Tensor], wanted: dict[int, torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared distance over the followed layers, the last of which counts for half."""
    each = []
    for projection, (layer, followed) in zip(state.projections, FOLLOWED.items(), strict=True):
        states = found[layer][mask]
        states = states * torch.rsqrt(states.square().mean(-1, keepdim=True) + 1e-6)
        each.append(functional.mse_loss(projection(states).float(), wanted[followed][mask].float()))
    return (sum(each[:-1]) / (len(each) - 1) + each[-1]) / 2


def log(path: Path, values: dict[str, float], seconds: float) -> None:
    line = json.dumps({key: round(value, 4) for key, value in (values | {"seconds": seconds}).items()})
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def export(state: State, work: Path, name: str) -> None:
    """Write the model in bfloat16, with its tokenizer, as transformers loads it."""
    shipped = copy.deepcopy(state.model).to(torch.bfloat16)
    shipped.config.dropout_rate = 0.1
    shipped.save_pretrained(work / name)
    AutoTokenizer.from_pretrained(work / state.stage.start).save_pretrained(work / name)


if __name__ == "__main__":
    main()
