"""Sites and targets that are left out mean the model's own, and keep the ids that T5's defaults had."""

from pathlib import Path

import pytest

from helpers import small
from tuneoff.spec import LoraSpec, Method, PrefixSpec, StackSpec, expand

SITES = ("encoder", "decoder", "cross")
LORA, PREFIX = LoraSpec(kind="lora"), PrefixSpec(kind="prefix")
FORMER_LORA = LoraSpec(kind="lora", targets=("q", "v"))
FORMER_PREFIX = PrefixSpec(kind="prefix", sites=SITES)


def keys(tmp_path: Path, method: Method) -> tuple[str, str]:
    run = expand(small.spec(tmp_path))[0].model_copy(update={"method": method})
    return run.run_id, run.settings_key


@pytest.mark.parametrize(
    ("left_out", "former"),
    [
        (LORA, FORMER_LORA),
        (PREFIX, FORMER_PREFIX),
        (
            StackSpec(kind="stack", parts=(LORA, PREFIX)),
            StackSpec(kind="stack", parts=(FORMER_LORA, FORMER_PREFIX)),
        ),
    ],
    ids=["lora", "prefix", "stack"],
)
def test_what_was_the_default_of_t5_has_the_id_of_what_is_left_out(tmp_path: Path, left_out, former):
    assert keys(tmp_path, left_out) == keys(tmp_path, former)


def test_other_targets_and_sites_have_other_ids(tmp_path: Path):
    methods = (
        LORA,
        LoraSpec(kind="lora", targets="all-linear"),
        PREFIX,
        PrefixSpec(kind="prefix", sites=("decoder",)),
    )
    assert len({keys(tmp_path, method) for method in methods}) == len(methods)
