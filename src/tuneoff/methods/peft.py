"""Any method of PEFT (github.com/huggingface/peft) on a model, by PEFT's own config and layers.

PEFT puts its layers into the model in place. tuneoff keeps its own model object and never calls PEFT's
wrapper, which is held for what the layers share and for reading and writing their state. Methods whose work
is done in the wrapper's forward are therefore refused.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import peft
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.errors import StudyError, UnfitError, first_line
from tuneoff.families import Family
from tuneoff.methods.adalora import AdaLora
from tuneoff.methods.adapter import Adapter
from tuneoff.methods.peft_config import completed, starts_from_base
from tuneoff.spec import PeftKind

_OWN, _START = "own_", "start_"
"""What PEFT's names begin with: of the layers of a part, and of frozen ones that take the start of these away
from the base."""
_NOT_MERGED = ("BEFT",)
"""Types that PEFT cannot merge into the weights."""


class PeftAdapter(Adapter):
    """The layers of one of PEFT's methods on a model."""

    def __init__(
        self, spec: PeftKind, model: PreTrainedModel, wrapper: peft.PeftModel, before: "Before"
    ) -> None:
        super().__init__(spec)
        self._model, self._wrapper, self._before = model, wrapper, before
        self._parameters = [
            one for one in model.parameters() if one.requires_grad and id(one) not in before.trained
        ]
        self._type = self.config.peft_type.value
        self._ranks = AdaLora(spec, wrapper) if self._type == "ADALORA" else None

    @property
    def config(self) -> peft.PeftConfig:
        """PEFT's config of the layers."""
        return next(iter(self._wrapper.peft_config.values()))

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return self._parameters

    def stored(self) -> dict[str, Tensor]:
        """Return what PEFT saves, by PEFT's names; those of a start that is taken away begin with `start`."""
        tensors: dict[str, Tensor] = {}
        shared = set[int]()
        # PEFT would list the tensors of all its layers in the model
        state = {name: one for name, one in self._wrapper.state_dict().items() if not self._is_others(name)}
        for adapter in self._wrapper.peft_config:
            saved = peft.get_peft_model_state_dict(
                self._wrapper, state, adapter_name=adapter, save_embedding_layers=False
            )
            for name, tensor in saved.items():
                # what all layers share is listed with each of them
                if tensor.numel() == 0 or tensor.data_ptr() not in shared:
                    shared.add(tensor.data_ptr())
                    tensors[_place(adapter) + name] = tensor.detach()
        return tensors

    def _is_others(self, name: str) -> bool:
        """Return whether a tensor is of another part that PEFT has put on the model."""
        named = [part for part in name.split(".") if part.startswith((_OWN, _START))]
        return any(part not in self._wrapper.peft_config for part in named)

    @torch.no_grad()
    def updates(self) -> dict[str, tuple[Tensor, Tensor]] | None:
        """Return A [r, in] and B [out, r] of each layer's update B A, by the layer's name.

        None unless it takes more to load what is stored than PEFT's own loading does: ranks that training has
        chosen, or a start that is taken away from the base.
        """
        if self._ranks is not None:
            return self._ranks.updates()
        if not starts_from_base(self.config):
            return None
        found = {}
        for name in self._wrapper.targeted_module_names:
            layer = self._model.get_submodule(name)
            adapters = list(self._wrapper.peft_config)
            a = [layer.lora_A[adapter].weight for adapter in adapters]
            b = [layer.lora_B[adapter].weight * layer.scaling[adapter] for adapter in adapters]
            found[name] = (torch.cat(a), torch.cat(b, dim=1))
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        if self._ranks is not None:
            self._ranks.resize(tensors)
        left = dict(tensors)
        for adapter in reversed(self._wrapper.peft_config):
            place = _place(adapter)
            own = {name: left.pop(name) for name in list(left) if name.startswith(place)}
            peft.set_peft_model_state_dict(
                self._wrapper,
                {name.removeprefix(place): value for name, value in own.items()},
                adapter_name=adapter,
            )

    def fold(self) -> None:  # noqa: D102
        if self._ranks is not None:
            self._ranks.fold()

    def deployed(self) -> int:
        """Return 0 where PEFT can merge the method into the weights, else what is trained."""
        return sum(one.numel() for one in self._parameters) if self._type in _NOT_MERGED else 0

    def merge(self) -> None:
        """Let PEFT merge its layers into those that they are around."""
        if self._type in _NOT_MERGED:
            super().merge()
        self._wrapper.base_model.merge_and_unload(safe_merge=True)

    def penalty(self) -> Tensor | None:  # noqa: D102
        return None if self._ranks is None else self._ranks.penalty()

    def after_step(self, step: int, steps: int) -> None:  # noqa: D102
        if self._ranks is not None:
            self._ranks.after_step(step, steps)
        elif self._type == "ADAMSS":
            self._wrapper.base_model.update_and_allocate(step)  # nothing unless its config has use_asa

    def training_state(self) -> dict[str, Tensor] | None:  # noqa: D102
        if self._ranks is not None:
            return self._ranks.training_state()
        return None if getattr(self.config, "use_asa", False) else {}

    def restore_training_state(self, tensors: Mapping[str, Tensor]) -> None:  # noqa: D102
        if self._ranks is not None:
            self._ranks.restore_training_state(tensors)

    def ranks(self) -> dict[str, int]:  # noqa: D102
        return {} if self._ranks is None else self._ranks.ranks()

    def detach(self) -> None:  # noqa: D102
        self._before.restore(self._model)


def _place(adapter: str) -> str:
    return "start." if adapter.startswith(_START) else ""


class Before:
    """A model's modules as they were before PEFT changed it.

    PEFT's own `unload` takes everything off that has a `base_layer`: in a stack, the other parts, too.
    """

    def __init__(self, model: nn.Module) -> None:
        self._children = {module: dict(module.named_children()) for module in model.modules()}
        self._peft_config = model.__dict__.get("peft_config")
        self.trained = {id(one): one for one in model.parameters() if one.requires_grad}
        """By their ids, what other parts of a stack train."""

    def restore(self, model: nn.Module) -> None:
        """Put back all modules, and take off those that were added."""
        for parent, children in self._children.items():
            for name in [name for name, _ in parent.named_children() if name not in children]:
                delattr(parent, name)
            for name, child in children.items():
                setattr(parent, name, child)
        model.__dict__.pop("peft_config", None)
        if self._peft_config is not None:
            model.__dict__["peft_config"] = self._peft_config


def attach(
    family: Family,
    spec: PeftKind,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> PeftAdapter:
    """Put the layers of PEFT's method into the model; all randomness is the generator's.

    Raises:
        StudyError: the config breaks a rule of PEFT, or does not fit the model.
        UnfitError: the model cannot carry the method, whatever its config.
    """
    model = family.model
    spec, config = completed(spec, family, generator)
    _check_others(model, config)
    before = Before(model)
    try:
        with _seeded(generator, model.device), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is done on purpose
            wrapper = _wrapped(model, config, spec.kind)
    except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        before.restore(model)
        message = f"PEFT cannot put {config.peft_type.value} on this model: {first_line(error)}"
        # what PEFT does not support, no setting changes
        if "not support" in message or len(spec.peft_config()) == 1:
            raise UnfitError(message) from error
        raise StudyError(f"{message}; change its settings") from error
    for parameter in before.trained.values():
        parameter.requires_grad_(True)  # PEFT freezes what is not its own
    model.train(model.training)  # new layers, too
    return PeftAdapter(spec, model, wrapper, before)


@contextmanager
def _seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Draw torch's global random numbers from a seed of the generator, and leave their state as it was."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _wrapped(model: PreTrainedModel, config: peft.PeftConfig, kind: str) -> peft.PeftModel:
    """Put PEFT's layers into the model, under a name by which it tells them from those of other parts."""
    weights = {name: parameter.data for name, parameter in model.named_parameters()}
    own = f"{_OWN}{kind}"
    model.__dict__.pop("peft_config", None)  # of another part, to which PEFT would add this one
    wrapper = peft.get_peft_model(model, config, adapter_name=own)
    if starts_from_base(config):
        _take_start_apart(wrapper, config, weights, own=own, start=f"{_START}{kind}")
    return wrapper


def _take_start_apart(
    wrapper: peft.PeftModel, config: peft.LoraConfig, weights: dict[str, Tensor], *, own: str, start: str
) -> None:
    """Keep the base where PEFT takes the start of B A away from it: W - s B0 A0 + s B A, with W as it was.

    The start is a second, frozen pair of matrices in each layer. So the base can be restored bit for bit, and
    what is stored has all that the base lacks, without a decomposition that other machines round differently.
    """
    apart = dataclasses.replace(config, init_lora_weights=True, lora_dropout=0.0, inference_mode=True)
    wrapper.add_adapter(start, apart)
    wrapper.base_model.set_adapter([own, start])
    with torch.no_grad():
        for name in wrapper.targeted_module_names:
            layer = wrapper.get_base_model().get_submodule(name)
            layer.get_base_layer().weight.data = weights[f"{name}.weight"]
            layer.lora_A[start].weight.copy_(layer.lora_A[own].weight)
            layer.lora_B[start].weight.copy_(-layer.lora_B[own].weight)
            layer.lora_A[start].weight.requires_grad_(False)
            layer.lora_B[start].weight.requires_grad_(False)


def _check_others(model: PreTrainedModel, config: peft.PeftConfig) -> None:
    """Refuse a stack with two methods of PEFT whose tensors have the same names."""
    prefix = peft.PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type].prefix
    taken = {name for module in model.modules() for name in getattr(module, "adapter_layer_names", ())}
    if any(name.startswith(prefix) for name in taken):
        raise StudyError(
            f"PEFT's {config.peft_type.value} cannot be in a stack with another method of PEFT that names "
            f"its tensors {prefix}...; use one of them"
        )
