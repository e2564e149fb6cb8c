from pathlib import Path

import pytest
from transformers import BartConfig, BartForConditionalGeneration

from helpers.models import tiny_t5
from tuneoff.errors import ModelError
from tuneoff.families import RANDOM_MODELS, architecture_of, family_of

SIZES = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 12}
HEADS = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}


def test_a_model_is_one_of_the_family_that_its_config_names():
    model = tiny_t5()
    assert family_of(model).model is model


def test_a_model_of_another_family_is_refused_with_its_type():
    model = BartForConditionalGeneration(BartConfig(**SIZES, **HEADS))
    with pytest.raises(
        ModelError,
        match=r"the model_type is 'bart'; give one of model_type t5, llama, ",
    ):
        family_of(model)


@pytest.mark.parametrize("value", [None, 5, ["t5"], "T5"], ids=repr)
def test_what_is_no_known_type_is_refused_with_the_place_that_names_it(value):
    with pytest.raises(ModelError, match=r"the model_type in 'x/config\.json' is"):
        architecture_of(value, place=Path("x/config.json"))


@pytest.mark.parametrize("make", RANDOM_MODELS.values(), ids=RANDOM_MODELS)
def test_random_models_are_the_same_at_every_call(make):
    first, second = (make.model(vocab_size=40, pad_token_id=0, eos_token_id=1) for _ in range(2))
    assert first.num_parameters() > 0
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not first.training
