"""All kinds of methods: those of tuneoff, those that other packages add, and stacks of several."""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, Union, get_args

from pydantic import Field, PlainValidator, SerializeAsAny, model_validator
from pydantic_core import PydanticKnownError

from tuneoff.errors import StudyError, first_line, shown
from tuneoff.spec.base import LISTS, Spec
from tuneoff.spec.methods.base import NoneSpec, TunedSpec
from tuneoff.spec.methods.bias import BiasSpec
from tuneoff.spec.methods.bottleneck import BottleneckSpec
from tuneoff.spec.methods.full import FullSpec
from tuneoff.spec.methods.lora import LoraSpec
from tuneoff.spec.methods.peft import (
    AdaloraSpec,
    DoraSpec,
    Ia3Spec,
    LnTuningSpec,
    OftSpec,
    PeftSpec,
    PissaSpec,
    RsloraSpec,
    VeraSpec,
)
from tuneoff.spec.methods.prefix import PrefixSpec
from tuneoff.spec.methods.presets import MamSpec, PresetSpec, UnipeltSpec
from tuneoff.spec.methods.prompt import PromptSpec


def kind_of(spec: type[Spec]) -> str:
    """Return the name of a kind, as studies write it."""
    return str(get_args(spec.model_fields["kind"].annotation)[0])


TUNED_KINDS: Mapping[str, type[TunedSpec]] = MappingProxyType(
    {
        kind_of(spec): spec
        for spec in (
            FullSpec,
            BiasSpec,
            LoraSpec,
            DoraSpec,
            RsloraSpec,
            PissaSpec,
            AdaloraSpec,
            VeraSpec,
            OftSpec,
            Ia3Spec,
            LnTuningSpec,
            PeftSpec,
            BottleneckSpec,
            PrefixSpec,
            PromptSpec,
        )
    }
)
"""In the order of attaching: LoRA must not find the linear layers of an adapter or a prefix's projection."""
ENTRY_POINTS = "tuneoff.methods"
"""The group of entry points with which other packages add kinds: from a kind's name to its spec."""


def attach_order(method: TunedSpec) -> int:
    """Return the place of a method among the parts of a stack; kinds of other packages are last."""
    kinds = list(TUNED_KINDS)
    return kinds.index(method.kind) if method.kind in kinds else len(kinds)


def added_kinds() -> dict[str, EntryPoint]:
    """Return the kinds that other packages add, and where their specs are."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _read(value: Any, own: Mapping[str, type[Spec]]) -> Any:
    """Read a method by its kind, which is one of these or one that another package adds.

    Raises:
        ValueError: its settings break a rule (pydantic.ValidationError), or there is no such kind.
        StudyError: the package that adds the kind cannot be used.
    """
    if isinstance(value, NoneSpec | TunedSpec | StackSpec):
        return value
    if not isinstance(value, dict):
        raise PydanticKnownError("model_attributes_type")
    if "kind" not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    kind = value["kind"]
    if isinstance(kind, str) and kind in own:
        spec = own[kind].model_validate(value)
        return StackSpec(kind="stack", parts=spec.parts()) if isinstance(spec, PresetSpec) else spec
    added = added_kinds()
    if not isinstance(kind, str) or kind not in added:
        known = ", ".join(f"'{name}'" for name in (*own, *added))
        context = {"discriminator": "'kind'", "tag": str(kind), "expected_tags": known}
        raise PydanticKnownError("union_tag_invalid", context)
    try:
        spec = added[kind].load()
    except Exception as error:  # whatever the code of another package raises
        raise StudyError(
            f"kind: {kind} is of another package ({added[kind].value}), which cannot be imported: "
            f"{first_line(error)}; repair or remove that package"
        ) from error
    return spec.model_validate(value)


def _read_part(value: Any) -> TunedSpec:
    part = _read(value, {kind: spec for kind, spec in TUNED_KINDS.items() if spec.in_stack})
    if not isinstance(part, TunedSpec) or not part.in_stack:
        raise ValueError(f"kind: {part.kind} cannot be part of a stack")
    return part


def _any_of(specs: Iterable[type[Spec]]) -> Any:
    """Return the union of these specs, for a JSON Schema of what `_read` takes."""
    return Annotated[Union[tuple(specs)], Field(discriminator="kind")]  # noqa: UP007


_Part = Annotated[
    SerializeAsAny[TunedSpec],
    PlainValidator(
        _read_part, json_schema_input_type=_any_of(spec for spec in TUNED_KINDS.values() if spec.in_stack)
    ),
]


class StackSpec(Spec):
    """Several methods on one model, each part with its own learning rate."""

    kind: Literal["stack"]
    parts: Annotated[tuple[_Part, ...], Field(min_length=2), LISTS]
    """The methods, two or more of different kinds."""

    def for_inference(self) -> Self:
        """Return the settings without what only training needs."""
        return self.model_copy(update={"parts": tuple(part.for_inference() for part in self.parts)})

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        kinds = [part.kind for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"a stack holds each kind of method once, but got {shown(kinds)}")
        for field in ("optim", "lr_scheduler_type"):
            values = {getattr(part, field) for part in self.parts}
            if len(values) > 1:
                raise ValueError(
                    f"the parts of a stack share one {field}, but got {sorted(map(str, values))}"
                )
        return self


_PRESETS = {kind_of(spec): spec for spec in (MamSpec, UnipeltSpec)}
KINDS: Mapping[str, type[Spec]] = MappingProxyType(
    {"none": NoneSpec, **TUNED_KINDS, "stack": StackSpec, **_PRESETS}
)
"""From the name of each kind to its spec."""

Method = Annotated[
    SerializeAsAny[NoneSpec | TunedSpec | StackSpec],
    PlainValidator(lambda value: _read(value, KINDS), json_schema_input_type=_any_of(KINDS.values())),
]
"""Any method, chosen by `kind`."""


def tuned_parts(method: Method) -> tuple[TunedSpec, ...]:
    """Return the trained parts of a method: none, the method itself, or the parts of a stack."""
    if isinstance(method, NoneSpec):
        return ()
    return method.parts if isinstance(method, StackSpec) else (method,)
