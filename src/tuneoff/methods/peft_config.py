"""The config of one of PEFT's methods, from a spec and a model: checked, and with what a study leaves out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, cast, get_type_hints

import peft
import torch
from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError
from torch import Tensor, nn
from transformers import Conv1D

from tuneoff.errors import StudyError, UnfitError, first_line, shown, unknown_name
from tuneoff.families import Family, Targets
from tuneoff.kernels import is_quantized
from tuneoff.methods.lora import target_layers
from tuneoff.spec import PeftKind, PeftSpec

REFUSED = {
    "ADAPTION_PROMPT": "its attention fits few models, and none whose heads are not as wide as it "
    "together; use kind: prefix",
    "CARTRIDGE": "PEFT's wrapper passes its keys and values to the model; use kind: prefix",
    "CPT": "PEFT's wrapper prepends its vectors to the input; use kind: prompt",
    "LILY": "its router takes the mean over all tokens of a batch, so that a row's answer would depend "
    "on the rows beside it; use kind: lora",
    "MULTITASK_PROMPT_TUNING": "it shares a prompt between tasks, and a run has one; use kind: prompt",
    "POLY": "it shares skills between tasks, and a run has one; use kind: lora",
    "PREFIX_TUNING": "PEFT's wrapper passes its keys and values to the model; use kind: prefix",
    "PROMPT_TUNING": "PEFT's wrapper prepends its vectors to the input; use kind: prompt",
    "P_TUNING": "PEFT's wrapper prepends its vectors to the input; use kind: prompt",
    "SHADOW": "its second network keeps a cache of its own beside the model's; use kind: lora",
    "XLORA": "it mixes LoRAs that were trained before; use kind: lora",
}
"""Types that need more than layers in the model: why they cannot be had here, and what to use instead."""
_SET_HERE = {
    "alora_invocation_tokens": "needs PEFT's wrapper, which is not used",
    "auto_mapping": "needs PEFT's wrapper, which is not used",
    "base_model_name_or_path": "is the study's model",
    "bias": "trains weights of the base; use kind: stack with kind: bias",
    "inference_mode": "is for loading",
    "layer_replication": "changes the layers that the model has",
    "loftq_config": "is for quantized models",
    "megatron_config": "is for models of Megatron",
    "megatron_core": "names a module of Python",
    "peft_version": "is the installed one",
    "revision": "is the study's model",
    "runtime_config": "is for PEFT's own loading",
    "task_type": "needs PEFT's wrapper, which is not used",
    "total_step": "is the length of the run",
}
"""Fields of PEFT's configs that a study cannot set, and why."""
_SEEDS = ("proj_seed", "projection_prng_key", "projection_seed", "random_loc_seed", "random_seed")
"""Fields of PEFT's configs that seed what is drawn apart from torch's global generator."""
_STARTS = ("gaussian", "orthogonal", "pissa")
"""Values of LoRA's `init_lora_weights`, beside true and false, that need neither data nor another base."""
_BESIDE_QUANTIZED = ("ADALORA", "IA3", "LN_TUNING", "LORA", "OFT", "VERA")
"""Types that do not read the weights of the layers that they change; LoRA does as DoRA and PiSSA."""
_IA3_FEEDFORWARD = ("wo", "down_proj", "fc2", "mlp.c_proj", "dense_4h_to_h")
_IA3_KEYS_AND_VALUES = (
    *("k", "v", "k_proj", "v_proj", "key", "value", "key_proj", "value_proj"),
    *("c_attn", "query_key_value"),  # with the queries in one layer
)
"""Ends of the names of layers that IA3 scales, in all families."""


def completed(spec: PeftKind, family: Family, generator: torch.Generator) -> tuple[PeftKind, peft.PeftConfig]:
    """Return a spec with what it leaves to the family and the generator, and PEFT's config of it.

    Raises:
        StudyError: the config breaks a rule of PEFT.
        UnfitError: the method needs weights that are not quantized.
    """
    settings = dict(spec.peft_config())
    kind = _known_type(str(settings.pop("peft_type")))
    config_class = peft.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)]
    names = {field.name for field in fields(config_class)}
    values = (
        _checked(kind, config_class, settings) if isinstance(spec, PeftSpec) else dict[str, Any](settings)
    )
    if is_quantized(family.model) and (kind not in _BESIDE_QUANTIZED or _reads_weights(values)):
        raise UnfitError(
            f"PEFT's {kind} with these settings reads the weights of the layers that it changes, but those "
            "of the model are quantized; leave out model.quantization, or use kind: lora"
        )
    seeds: dict[str, JsonValue] = {
        name: int(torch.randint(2**31, (), generator=generator))
        for name in _SEEDS
        if name in names - set(values)
    }
    if isinstance(spec, PeftSpec):
        spec = spec.model_copy(update={"config": spec.config | seeds})
    elif "targets" in type(spec).model_fields:
        spec = spec.model_copy(update={"targets": _targets(spec) or family.lora_targets})
    if "target_modules" in names:
        values |= _targeted(spec, kind, family, values)
    if "progressbar" in names:
        values |= {"progressbar": False}
    if kind == "ADALORA":
        # the real ones are set at the first step, when the length of the run is known
        values |= {"total_step": values.get("tinit", 0) + values.get("tfinal", 0) + 1}
    try:
        return spec, config_class(**values | seeds)
    except (TypeError, ValueError) as error:
        raise StudyError(f"config of PEFT's {kind}: {first_line(error)}") from error


def starts_from_base(config: peft.PeftConfig) -> bool:
    """Return whether LoRA starts from a part of the base's weights, which PEFT takes away from them."""
    return str(getattr(config, "init_lora_weights", "")).startswith("pissa")


def _reads_weights(values: Mapping[str, Any]) -> bool:
    """Return whether LoRA is DoRA, or starts from the weights."""
    start = values.get("init_lora_weights", True)
    return bool(values.get("use_dora")) or (isinstance(start, str) and start != "gaussian")


def _known_type(name: str) -> str:
    known = [kind.value for kind in peft.PeftType]
    if name.upper() not in known:
        raise StudyError(f"peft_type must be a type of PEFT {peft.__version__}: {unknown_name(name, known)}")
    if name.upper() in REFUSED:
        raise StudyError(f"PEFT's {name.upper()} cannot be used here: {REFUSED[name.upper()]}")
    return name.upper()


def _checked(
    kind: str, config_class: type[peft.PeftConfig], settings: Mapping[str, JsonValue]
) -> dict[str, Any]:
    """Return the values of a study's config in the types that PEFT's config class declares."""
    where = f"config of PEFT's {kind}"
    hints = get_type_hints(config_class)
    values = {}
    for name, value in settings.items():
        if name in _SET_HERE:
            raise StudyError(f"{where}: {name} cannot be set, as it {_SET_HERE[name]}; leave it out")
        if name not in hints:
            raise StudyError(
                f"{where}: {unknown_name(name, hints.keys() - _SET_HERE.keys() - {'peft_type'})}"
            )
        expected = TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))
        try:
            values[name] = expected.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise StudyError(f"{where}: {name}: {reason}, but got {shown(value)}") from error
    start = values.get("init_lora_weights", True)
    if isinstance(start, str) and start.partition("_niter_")[0] not in _STARTS:
        raise StudyError(
            f"{where}: init_lora_weights must be true, false, {', '.join(_STARTS)}, as other starts need "
            f"data or change the base, but got {shown(start)}"
        )
    if kind == "ADALORA" and values.get("target_r", 8) >= values.get("init_r", 12):
        raise StudyError(
            f"{where}: `target_r < init_r` must hold, as ranks are dropped, but got {shown(settings)}"
        )
    return values


def _targeted(
    spec: PeftKind, kind: str, family: Family, values: Mapping[str, Any]
) -> dict[str, list[str] | str]:
    """Return the modules that a method changes, by their full names unless the study or PEFT names them."""
    model = family.model
    places = dict(base_modules(model))
    covered = any(own != place for own, (place, _) in places.items())
    given = values.get("target_modules")
    if given is None and isinstance(spec, PeftSpec):
        tuner = peft.PEFT_TYPE_TO_TUNER_MAPPING[peft.PeftType(kind)]
        given = getattr(tuner, "target_module_mapping", {}).get(model.config.model_type)
        if given is not None and not covered:
            return {}  # PEFT finds them itself
    if given is not None:
        if isinstance(given, str) or not covered:
            return {"target_modules": given}
        return {"target_modules": [place for own, (place, _) in places.items() if _ends_in(own, given)]}
    if kind == "LN_TUNING":
        return {"target_modules": [place for place, module in places.values() if _is_norm(module)]}
    linear = {own: module for own, (_, module) in places.items() if isinstance(module, nn.Linear | Conv1D)}
    if kind == "IA3":
        inside = [places[own][0] for own in linear if _ends_in(own, _IA3_FEEDFORWARD)]
        other = [places[own][0] for own in linear if _ends_in(own, _IA3_KEYS_AND_VALUES)]
        return {"target_modules": other + inside, "feedforward_modules": inside}
    chosen = target_layers(model, linear, _targets(spec) or family.lora_targets)
    return {"target_modules": [places[own][0] for own in chosen]}


def _targets(spec: PeftKind) -> Targets | None:
    targets: Targets | None = getattr(spec, "targets", None)
    return targets


def base_modules(model: nn.Module) -> Iterator[tuple[str, tuple[str, nn.Module]]]:
    """Yield the modules of the base by their own names, each with the place where PEFT can change it.

    A part of a stack that replaces a layer keeps it as `base_layer`. PEFT puts its layers around those that
    it knows, its own; of those of others it must be given what they keep.
    """
    waiting = [("", "", model)]
    while waiting:
        own, place, module = waiting.pop()
        if not _is_pefts(module) and isinstance(kept := getattr(module, "base_layer", None), nn.Module):
            module, place = kept, f"{place}.base_layer"
        if _is_pefts(module):
            yield own, (place, cast(Any, module).get_base_layer())
            continue
        yield own, (place, module)
        children = [
            (f"{own}.{name}".lstrip("."), f"{place}.{name}".lstrip("."), child)
            for name, child in module.named_children()
        ]
        waiting += reversed(children)


def _is_pefts(module: Any) -> bool:
    return hasattr(module, "get_base_layer")


def _ends_in(name: str, ends: Iterable[str]) -> bool:
    return any(f".{name}".endswith(f".{end}") for end in ends)


def _is_norm(module: nn.Module) -> bool:
    """Return whether a module normalizes, by its class, of which every model has its own."""
    return "norm" in type(module).__name__.lower() and isinstance(getattr(module, "weight", None), Tensor)
