import copy
from functools import partial
from pathlib import Path

import pytest
import torch

from helpers import small
from helpers.encoder_decoders import KINDS
from helpers.models import VOCABULARY, batch, tiny, tiny_t5
from tuneoff.families import family_of
from tuneoff.families.listening import recorded
from tuneoff.families.other import MODELS
from tuneoff.methods import attach
from tuneoff.spec import (
    DropoutSpec,
    FullSpec,
    LoraSpec,
    NoneSpec,
    PeftSpec,
    PrefixSpec,
    PromptSpec,
    TrainingSpec,
    expand,
)
from tuneoff.training import Encoded, Session, fit, prepare, train_run
from tuneoff.training.frozen_outputs import FrozenOutputs, Reader, frozen_part
from tuneoff.training.precision import prepare_frozen

UPPER_LOHA = {"peft_type": "LOHA", "r": 2, "target_modules": ["q_proj", "v_proj"], "layers_to_transform": [2]}
DECODER_PREFIX = PrefixSpec(kind="prefix", length=3, sites=("decoder",))


def adapt(method, model=None):
    return attach(model or tiny_t5(), method, generator=torch.Generator().manual_seed(0), tokenizer=None)


def rows(count=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 12, (count,), generator=generator).tolist()
    return [
        Encoded(
            torch.randint(2, VOCABULARY, (n,), generator=generator).tolist(), [5, 6, 1], None, False, False
        )
        for n in lengths
    ]


def encoded(adapted, given=None, cache=None, dtype="float32"):
    cache, given = FrozenOutputs() if cache is None else cache, given or rows()
    part = frozen_part(adapted, dtype)
    if part is None:
        return given
    return cache.added_to(given, Reader(adapted, part, batch_size=4, pad_token_id=0, dtype=dtype))


def counted(model):
    """How often the encoder is asked, as a list that grows."""
    calls = []
    model.encoder.register_forward_hook(lambda module, inputs, output: calls.append(output))
    return calls


@pytest.mark.parametrize(
    ("method", "frozen"),
    [
        (NoneSpec(kind="none"), True),
        (DECODER_PREFIX, True),
        (PrefixSpec(kind="prefix", length=3, sites=("cross", "decoder"), projection=4), True),
        (LoraSpec(kind="lora", targets=("decoder.q", "decoder.v")), True),
        (LoraSpec(kind="lora"), False),
        (PrefixSpec(kind="prefix", length=3, sites=("encoder",)), False),
        (PromptSpec(kind="prompt", length=3, init="random"), False),
        (FullSpec(kind="full"), False),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_the_encoder_is_frozen_where_nothing_trained_reaches_its_output(method, frozen):
    adapted = adapt(method)
    assert (frozen_part(adapted, "float32") is not None) == frozen
    assert all((row.frozen_output is not None) == frozen for row in encoded(adapted))


@pytest.mark.parametrize(
    ("method", "frozen"),
    [
        (LoraSpec(kind="lora", layers_to_transform=(1, 2)), 1),
        (LoraSpec(kind="lora", layers_to_transform=(2,)), 2),
        (PeftSpec(kind="peft", config=UPPER_LOHA), 2),
        (LoraSpec(kind="lora"), 0),
        (PrefixSpec(kind="prefix", length=3), 0),
        (PromptSpec(kind="prompt", length=3, init="random"), 0),
        (FullSpec(kind="full"), 0),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_lower_layers_are_frozen_where_nothing_trained_reaches_their_output(method, frozen):
    adapted = adapt(method, tiny("llama"))
    part = frozen_part(adapted, "float32")
    assert all((row.frozen_output is not None) == (frozen > 0) for row in encoded(adapted))
    if part is None:
        assert frozen == 0
        return
    layers = [one.input_layernorm for one in adapted.model.model.layers]
    token = torch.tensor([[5]])
    with recorded(layers) as run:
        part.encode(token, torch.ones_like(token))
    assert [layer in run for layer in layers] == [number < frozen for number in range(3)]


@pytest.mark.parametrize("rate", ["attention", "decoder"])
def test_with_dropout_the_output_of_lower_layers_is_another_in_every_epoch(rate):
    adapted = adapt(LoraSpec(kind="lora", dropout=0.5, layers_to_transform=(1,)), tiny("gpt2"))
    assert not frozen_part(adapted, "float32").reads_with_dropout()
    adapted.family.set_dropout(DropoutSpec(**{rate: 0.1}))
    assert frozen_part(adapted, "float32").reads_with_dropout()


def test_seeds_share_the_output_of_lower_layers():
    cache = FrozenOutputs()
    for seed in (0, 1):
        method = LoraSpec(kind="lora", layers_to_transform=(2,))
        generator = torch.Generator().manual_seed(seed)
        encoded(attach(tiny("llama"), method, generator=generator, tokenizer=None), cache=cache)
    assert len(cache) == 1
    encoded(adapt(LoraSpec(kind="lora", layers_to_transform=(1,)), tiny("llama")), cache=cache)
    assert len(cache) == 2


def test_encoder_outputs_are_those_of_the_encoder():
    adapted = adapt(DECODER_PREFIX)
    for row in encoded(adapted):
        alone = adapted.model.encoder(input_ids=torch.tensor([row.input_ids])).last_hidden_state[0]
        torch.testing.assert_close(row.frozen_output, alone, rtol=1e-4, atol=1e-5)


def test_rows_are_encoded_once_for_all_who_ask():
    model = tiny_t5()
    first, second = (
        adapt(DECODER_PREFIX, copy.deepcopy(model)),
        adapt(NoneSpec(kind="none"), copy.deepcopy(model)),
    )
    cache = FrozenOutputs()
    before = encoded(first, cache=cache)
    calls = counted(second.model)
    after = encoded(second, cache=cache)
    assert all(torch.equal(a.frozen_output, b.frozen_output) for a, b in zip(before, after, strict=True))
    # one call asks whether it is frozen
    assert len(calls) == 1


def test_other_weights_are_other_encoder_outputs():
    adapted, cache = adapt(NoneSpec(kind="none")), FrozenOutputs()
    before = encoded(adapted, cache=cache)
    with torch.no_grad():
        adapted.model.encoder.block[1].layer[0].SelfAttention.q.weight.mul_(2)
    after = encoded(adapted, cache=cache)
    assert not any(torch.equal(a.frozen_output, b.frozen_output) for a, b in zip(before, after, strict=True))


def test_what_exceeds_the_limit_is_not_cached_and_the_least_recently_used_goes_first():
    adapted = adapt(NoneSpec(kind="none"))
    size = sum(len(row.input_ids) for row in rows()) * adapted.model.config.d_model * 4
    assert all(row.frozen_output is None for row in encoded(adapted, cache=FrozenOutputs(size - 1)))
    cache = FrozenOutputs(int(1.5 * size))
    encoded(adapted, cache=cache)
    encoded(adapted, rows(seed=1), cache)
    assert len(cache) == 1
    calls = counted(adapted.model)
    encoded(adapted, rows(seed=1), cache)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("kind", "method"),
    [("flan", DECODER_PREFIX), ("llama", LoraSpec(kind="lora", dropout=0.1, layers_to_transform=(1, 2)))],
    ids=["encoder", "lower layers"],
)
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("bfloat16", 2e-2)])
def test_training_on_frozen_outputs_takes_the_steps_of_training_on_text(kind, method, dtype, bound):
    curves = []
    for given in (lambda adapted: rows(), partial(encoded, dtype=dtype)):
        adapted = adapt(method, tiny(kind))
        prepare_frozen(adapted.model, dtype)
        adapted.family.set_dropout(DropoutSpec(encoder=0.0, decoder=0.0))
        points = []
        fit(
            adapted,
            given(adapted),
            training=TrainingSpec(max_steps=6, per_device_train_batch_size=4, logging_steps=1),
            dtype=dtype,
            order=torch.Generator().manual_seed(0),
            pad_token_id=0,
            evaluate=lambda: {"metric": 0.0},
            metric="metric",
            on_point=points.append,
        )
        curves.append([(point.loss, point.grad_norm) for point in points if point.loss])
    assert len(curves[0]) == 6
    for text, cached in zip(*curves, strict=True):
        assert cached == pytest.approx(text, rel=bound)


@pytest.mark.parametrize(
    ("spec", "encoder", "decoder", "attention"),
    [
        (DropoutSpec(), 0.1, 0.1, 0.1),
        (DropoutSpec(encoder=0.0), 0.0, 0.1, 0.0),
        (DropoutSpec(attention=0.0), 0.1, 0.1, 0.0),
        (DropoutSpec(encoder=0.3, decoder=0.2, attention=0.4), 0.3, 0.2, 0.4),
    ],
    ids=str,
)
def test_chances_of_dropout_are_those_of_the_study(spec, encoder, decoder, attention):
    model = tiny_t5()
    family = family_of(model)
    family.set_dropout(spec)
    assert {m.p for m in model.encoder.modules() if isinstance(m, torch.nn.Dropout)} == {encoder}
    assert {m.p for m in model.decoder.modules() if isinstance(m, torch.nn.Dropout)} == {decoder}
    assert model.encoder.block[0].layer[0].SelfAttention.dropout == attention
    assert family.encoder.reads_with_dropout() == (spec.encoder != 0.0)


@pytest.mark.slow
def test_how_often_a_run_is_validated_changes_no_step(tmp_path: Path):
    curves = []
    for every in (1, 4):
        specs = expand(small.spec(tmp_path, [f"training.eval_steps={every}"]))
        spec = next(spec for spec in specs if spec.method_name == "lora")
        points = []
        folder = tmp_path / str(every)
        folder.mkdir()
        train_run(spec, folder, on_point=points.append)
        curves.append([point.loss for point in points if point.loss is not None])
    assert len(curves[0]) == 4
    assert curves[0] == curves[1]


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "kept"), [(1, False), (4, True)])
def test_lower_layers_are_read_beforehand_where_a_run_reads_each_row(steps, kept, tmp_path: Path):
    overrides = [
        "model.id=builtin:random-llama",
        f"training.max_steps={steps}",
        "methods.lora={kind: lora, layers_to_transform: [2]}",
    ]
    specs = expand(small.spec(tmp_path, overrides))
    run = prepare(next(spec for spec in specs if spec.method_name == "lora"), Session())
    assert all((row.frozen_output is not None) == kept for row in run.train_rows())
    assert all(row.frozen_output is None for row in run.rows("test"))


@pytest.mark.parametrize("kind", ["flan", "t5", *KINDS, *MODELS])
def test_rounded_as_products_round_them_they_give_equal_logits(kind):
    family, data = family_of(tiny(kind)), batch()
    family.use_fast_modules()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = family.encoder.encode(data["input_ids"], data["attention_mask"])
        logits = [
            family.logits(family.encoder.context(read, data["attention_mask"]).predict(data["labels"]))
            for read in (outputs, outputs.bfloat16())
        ]
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(*logits, rtol=0, atol=0)


def test_in_bfloat16_they_take_half_the_memory():
    found = encoded(adapt(NoneSpec(kind="none")), dtype="bfloat16")
    assert {row.frozen_output.dtype for row in found} == {torch.bfloat16}
