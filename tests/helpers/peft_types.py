"""PEFT's types on tiny models: the settings that fit them, and what is expected of each."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from peft import PeftType
from transformers import PreTrainedModel

from helpers.models import batch, tiny
from tuneoff.errors import StudyError, UnfitError
from tuneoff.families import family_of
from tuneoff.methods import attach, footprint
from tuneoff.spec import Method, PeftSpec


class Expected(NamedTuple):
    """One of PEFT's types on a tiny model."""

    config: dict[str, Any] = {}  # noqa: RUF012
    """Settings that fit the tiny sizes; others are PEFT's defaults."""
    starts_as_base: bool = True
    """Whether the outputs are those of the base before the first step."""
    random_start: bool = True
    """Whether something that is trained starts from random numbers."""


TYPES: dict[str, Expected] = {
    # at PEFT's own scale a few steps change less than bfloat16 shows
    "ADALORA": Expected({"lora_alpha": 100}),
    "ADAMSS": Expected({"r": 8}),
    "BEFT": Expected(random_start=False),
    "BOFT": Expected(random_start=False),
    "C3A": Expected({"block_size": 8}, starts_as_base=False),
    "DEFT": Expected(),
    "DELORA": Expected(),
    "FOURIERFT": Expected({"n_frequency": 50}, starts_as_base=False),
    "FROD": Expected(random_start=False),
    "GLORA": Expected(),
    "GRALORA": Expected({"r": 8}),
    "HIRA": Expected(),
    "HRA": Expected(),
    "IA3": Expected(random_start=False),
    "LN_TUNING": Expected(random_start=False),
    "LOHA": Expected(),
    "LOKR": Expected(),
    "LORA": Expected(),
    "MISS": Expected({"r": 8}, random_start=False),
    "OFT": Expected(random_start=False),
    "OSF": Expected(random_start=False),
    "PEANUT": Expected(),
    "PSOFT": Expected({"r": 8}, random_start=False),
    "PVERA": Expected(random_start=False),
    "RANDLORA": Expected(random_start=False),
    "ROAD": Expected({"group_size": 8}, random_start=False),
    "SHIRA": Expected({"r": 2}, random_start=False),
    "SUPERTUNING": Expected(random_start=False),
    "TINYLORA": Expected(random_start=False),
    "TRAINABLE_TOKENS": Expected({"token_indices": [5, 6, 7]}, random_start=False),
    "UNILORA": Expected(starts_as_base=False),
    "VBLORA": Expected({"vector_length": 8, "num_vectors": 16}, starts_as_base=False),
    "VERA": Expected({"r": 8}, random_start=False),
    "WAVEFT": Expected({"n_frequency": 50}, random_start=False),
}
"""All that can be used; the others are refused."""


def spec_of(peft_type: str) -> PeftSpec:
    return PeftSpec(kind="peft", config={"peft_type": peft_type, **TYPES.get(peft_type, Expected()).config})


TINY: Mapping[str, Callable[[], PreTrainedModel]] = {
    "encoder-decoder": partial(tiny, "flan"),
    "decoder-only": partial(tiny, "llama"),
}


class Outcome(NamedTuple):
    """What came of trying a method on a model."""

    method: str
    """Its kind, or PEFT's type."""
    family: str
    trains: bool
    """Whether all that it declares receives gradient."""
    starts_as_base: bool | None = None
    trained: int | None = None
    stored: int | None = None
    refusal: str | None = None
    """Why it cannot be had."""


def outcomes(
    models: Mapping[str, Callable[[], PreTrainedModel]] = TINY, *, fitted: bool = True
) -> Iterator[Outcome]:
    """Try every type of PEFT on a new model of each name, `fitted`: with settings that fit tiny models."""
    for one in PeftType:
        config = {"peft_type": one.value}
        spec = spec_of(one.value) if fitted else PeftSpec(kind="peft", config=config)
        for name, make in models.items():
            yield outcome(spec, name, make)


def outcome(spec: Method, name: str, make: Callable[[], PreTrainedModel]) -> Outcome:
    """Try a method on a new model."""
    model = make()
    label = str(spec.config["peft_type"]) if isinstance(spec, PeftSpec) else spec.kind
    with torch.no_grad():
        before = family_of(model).read_and_predict(**batch())
    try:
        adapted = attach(model, spec, generator=torch.Generator().manual_seed(0), tokenizer=None)
    except (StudyError, UnfitError) as error:
        return Outcome(label, name, trains=False, refusal=str(error))
    prompted = batch(prompt_ids=adapted.prompt_ids)
    counts = footprint(adapted, prompted)
    with torch.no_grad():
        after = adapted.family.read_and_predict(**prompted)
    return Outcome(
        label,
        name,
        trains=counts.receiving_gradient == counts.trainable > 0,
        starts_as_base=torch.allclose(before, after, rtol=1e-4, atol=1e-4),
        trained=counts.trainable,
        stored=counts.stored,
    )
