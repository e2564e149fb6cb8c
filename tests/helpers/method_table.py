"""The table of methods in docs/methods.md: `PYTHONPATH=src:tests python -m helpers.method_table`.

Whether a method trains, and starts as the base, is tried on tiny random models. Sizes are counted on models
of the true geometry with random weights, with each kind's default settings.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import TypeAdapter
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, T5Config, T5ForConditionalGeneration

from helpers.models import word_tokenizer
from helpers.peft_types import TINY, TYPES, outcome, spec_of
from tuneoff.errors import StudyError, UnfitError
from tuneoff.methods import attach
from tuneoff.spec import Method, PeftSpec
from tuneoff.spec.methods import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
METHOD = TypeAdapter[Method](Method)
_STACK = {"kind": "stack", "parts": [{"kind": "lora"}, {"kind": "prefix", "length": 10}]}
_FITTED = {
    "adapter": {"reduction": 4},
    "lora": {"rank": 2},
    "prefix": {"length": 2},
    "prompt": {"length": 2, "init": "random"},
    "stack": {"parts": [{"kind": "lora", "rank": 2}, {"kind": "prefix", "length": 2}]},
    "mam": {"prefix": {"length": 2, "projection": 8}},
    "unipelt": {"lora": {"rank": 2}, "prefix": {"length": 2, "projection": 8}, "adapter": {"reduction": 4}},
}
"""Settings that fit tiny models, where defaults do not."""


class Sizes(NamedTuple):
    """Parameters of a method on a model."""

    trained: int
    stored: int


def flan_t5_small() -> PreTrainedModel:
    """Return a random model of the geometry in the config.json of google/flan-t5-small."""
    model = T5ForConditionalGeneration(
        T5Config(
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
    )
    # transformers builds T5 tied; Flan has a head of its own
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    return model.eval()


def smollm2() -> PreTrainedModel:
    """Return a random model of the geometry in the config.json of HuggingFaceTB/SmolLM2-135M-Instruct."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=49152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            tie_word_embeddings=True,
        )
    ).eval()


LARGE: Mapping[str, Callable[[], PreTrainedModel]] = {
    "flan-t5-small": flan_t5_small,
    "SmolLM2-135M": smollm2,
}


def lines() -> dict[str, tuple[Method, Method]]:
    """Return a study's line for every method: with settings that fit tiny models, and with the defaults."""
    found: dict[str, tuple[Method, Method]] = {}
    for kind in KINDS:
        if kind in ("none", "peft"):
            continue
        default = METHOD.validate_python(_STACK if kind == "stack" else {"kind": kind})
        fitted = METHOD.validate_python({"kind": kind, **_FITTED.get(kind, {})})
        found[f"`{kind}`" if kind != "stack" else "`stack` of lora and prefix"] = (fitted, default)
    for peft_type in TYPES:
        default = PeftSpec(kind="peft", config={"peft_type": peft_type})
        found[f"`peft`, {peft_type}"] = (spec_of(peft_type), default)
    return found


def tried(name: str, spec: Method) -> str:
    """Return the beginning of a row: what came of trying a method on a tiny model of each family."""
    cells = [name]
    for family, make in TINY.items():
        found = outcome(spec, family, make)
        trains = "yes" if found.trains else "no"
        if found.refusal is None:
            trains += ", from the base" if found.starts_as_base else ", from elsewhere"
        cells.append(trains)
    return f"| {' | '.join(cells)} |"


def sizes(spec: Method, model: PreTrainedModel) -> Sizes | None:
    """Count a method's parameters on a model, which is left as it was; None if it cannot carry the method."""
    try:
        adapted = attach(model, spec, generator=torch.Generator().manual_seed(0), tokenizer=word_tokenizer())
    except (StudyError, UnfitError):
        return None
    trained = sum(parameter.numel() for parameter in adapted.parameters())
    adapted.fold()
    stored = sum(tensor.numel() for tensor in adapted.stored().values())
    adapted.detach()
    return Sizes(trained, stored)


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    head = ["method", *TINY, *(f"{name}: {count}" for name in LARGE for count in ("trained", "stored"))]
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * (1 + len(TINY))}{'--:|' * (2 * len(LARGE))}"
    models = {name: make() for name, make in LARGE.items()}
    for name, (fitted, default) in lines().items():
        counts = []
        for model in models.values():
            found = sizes(default, model)
            # PEFT's TRAINABLE_TOKENS trains none unless it is told which
            counts += [f"{count:,}" if count else "" for count in found or (0, 0)]
        yield f"{tried(name, fitted)} {' | '.join(counts)} |"


def main() -> None:
    """Write the table into its place."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n".join(table()) + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
