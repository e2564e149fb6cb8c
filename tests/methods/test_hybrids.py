"""Hybrids that were published, as stacks."""

import pytest
from pydantic import TypeAdapter, ValidationError

from helpers import small
from helpers.method_contract import MethodContract
from tuneoff.errors import StudyError
from tuneoff.spec import BottleneckSpec, LoraSpec, Method, PrefixSpec, StackSpec


def read(**method):
    return TypeAdapter(Method).validate_python(method)


SMALL = {"prefix": {"length": 3, "projection": 8}, "adapter": {"reduction": 8}}


@pytest.mark.slow
class TestMam(MethodContract):
    method = read(kind="mam", **SMALL)
    kinds = ("flan", "llama", "gpt2", "gemma3_text")


@pytest.mark.slow
class TestUnipelt(MethodContract):
    method = read(kind="unipelt", lora={"rank": 2}, **SMALL)
    kinds = ("flan", "llama", "bart", "gpt2", "gemma3_text")


def test_mam_is_a_prefix_of_thirty_by_an_mlp_and_a_parallel_adapter():
    prefix = PrefixSpec(kind="prefix", length=30, projection=800)
    adapter = BottleneckSpec(kind="adapter", placement="parallel", reduction=2)
    assert read(kind="mam") == StackSpec(kind="stack", parts=(prefix, adapter))


def test_unipelt_is_three_gated_methods():
    parts = (
        LoraSpec(kind="lora", rank=8, gate=True),
        PrefixSpec(kind="prefix", length=10, projection=512, gate=True),
        BottleneckSpec(kind="adapter", placement="pfeiffer", reduction=16, gate=True),
    )
    assert read(kind="unipelt") == StackSpec(kind="stack", parts=parts)


def test_a_study_changes_settings_of_a_part_and_keeps_the_others():
    mam = read(kind="mam", prefix={"length": 5}, adapter={"activation": "gelu"})
    assert [(part.kind, part.learning_rate) for part in mam.parts] == [("prefix", 1e-2), ("adapter", 1e-3)]
    prefix, adapter = mam.parts
    assert (prefix.length, prefix.projection) == (5, 800)
    assert (adapter.activation, adapter.placement) == ("gelu", "parallel")


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ({"kind": "mam", "lora": {}}, "lora"),
        ({"kind": "mam", "prefix": 3}, "prefix"),
        ({"kind": "mam", "prefix": {"length": -1}}, "prefix.length"),
        ({"kind": "unipelt", "adapter": {"widht": 1}}, "adapter.widht"),
    ],
)
def test_a_wrong_setting_is_named_with_its_place(tmp_path, method, place):
    text = str(method).replace("'", "")
    with pytest.raises(StudyError, match=rf"methods\.hybrid\.{place}"):
        small.spec(tmp_path, [f"methods.hybrid={text}"])


def test_a_preset_is_no_part_of_a_stack():
    with pytest.raises(ValidationError):
        read(kind="stack", parts=[{"kind": "mam"}, {"kind": "lora"}])
