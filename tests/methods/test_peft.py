import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    OFTConfig,
    PeftType,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)

from helpers.method_contract import MethodContract, Stage
from helpers.models import batch, tiny
from helpers.peft_types import TYPES, outcomes, spec_of
from tuneoff.errors import StudyError, UnfitError
from tuneoff.methods import attach, load, save
from tuneoff.methods.peft_config import REFUSED
from tuneoff.spec import (
    DoraSpec,
    Ia3Spec,
    LnTuningSpec,
    LoraSpec,
    OftSpec,
    PeftSpec,
    PissaSpec,
    PrefixSpec,
    PromptSpec,
    RsloraSpec,
    StackSpec,
    VeraSpec,
)
from tuneoff.spec.methods import KINDS

QUICK = (
    "test_saved_and_loaded_it_gives_equal_logits",
    "test_generated_step_scores_equal_teacher_forced_logits",
    "test_detached_the_base_gives_bit_identical_outputs",
)
"""What may go wrong with one of PEFT's methods alone; the rest of the contract is slow here."""
DIFFERENT = ("IA3", "OSF", "RANDLORA", "VERA", "dora", "oft", "pissa")
"""Methods that PEFT puts on a model in different ways; the others repeat the tests."""


def parametrize(metafunc, name, values):
    quick = DIFFERENT if metafunc.function.__name__ in QUICK else ()
    marks = {value: () if value in quick else (pytest.mark.slow,) for value in values}
    cases = [pytest.param(value, marks=marks[value]) for value in values]
    metafunc.parametrize(name, cases, scope="class")


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's, of FROD
class TestEveryType(MethodContract):
    kinds = ("flan", "llama")

    def pytest_generate_tests(self, metafunc):
        super().pytest_generate_tests(metafunc)
        parametrize(metafunc, "peft_type", TYPES)

    @pytest.fixture(autouse=True)
    def _method_of_the_type(self, peft_type):
        self.method = spec_of(peft_type)
        self.is_drawn = TYPES[peft_type].random_start

    def test_it_starts_as_the_base_or_not_as_the_table_says(self, kind, peft_type):
        with torch.no_grad():
            before = self.logits_of(tiny(kind), batch(seed=9))
        same = torch.allclose(self.at(Stage.FOLDED, kind).untrained, before, rtol=1e-4, atol=1e-4)
        assert same == TYPES[peft_type].starts_as_base


NAMED = {
    "dora": DoraSpec(kind="dora", rank=3, learning_rate=1e-2),
    "rslora": RsloraSpec(kind="rslora", rank=3),
    "pissa": PissaSpec(kind="pissa", rank=3, alpha=3, iterations=None),
    "vera": VeraSpec(kind="vera", rank=4),
    "oft": OftSpec(kind="oft", block_size=4),
    "ia3": Ia3Spec(kind="ia3"),
    "ln_tuning": LnTuningSpec(kind="ln_tuning"),
}


class TestNamedKinds(MethodContract):
    kinds = ("flan", "llama", "gemma3_text", "gpt2")

    def pytest_generate_tests(self, metafunc):
        super().pytest_generate_tests(metafunc)
        parametrize(metafunc, "name", NAMED)

    @pytest.fixture(autouse=True)
    def _method_of_the_name(self, name, request):
        self.method = NAMED[name]
        self.is_drawn = name in ("dora", "rslora")
        if name == "oft" and request.node.callspec.params.get("kind") == "gpt2":
            pytest.skip("PEFT's OFT does not take GPT-2's layers")

    def test_it_starts_as_the_base(self, kind):
        with torch.no_grad():
            before = self.logits_of(tiny(kind), batch(seed=9))
        torch.testing.assert_close(self.at(Stage.FOLDED, kind).untrained, before, rtol=1e-4, atol=1e-4)


class TestPeftBesideOwnMethods(MethodContract):
    """IA3 inside LoRA on the same layers, with a prefix and a prompt."""

    method = StackSpec(
        kind="stack",
        parts=(
            PromptSpec(kind="prompt", length=2, init="random"),
            PrefixSpec(kind="prefix", length=2),
            LoraSpec(kind="lora", rank=2),
            PeftSpec(kind="peft", config={"peft_type": "IA3"}),
        ),
    )
    kinds = ("flan", "llama")


@pytest.mark.slow
class TestTwoOfPeft(MethodContract):
    method = StackSpec(kind="stack", parts=(DoraSpec(kind="dora", rank=2), Ia3Spec(kind="ia3")))
    kinds = ("flan", "gemma3_text")


def adapt(spec, model=None, seed=0):
    model = tiny("flan") if model is None else model
    return attach(model, spec, generator=torch.Generator().manual_seed(seed), tokenizer=None)


def peft_spec(peft_type, **config):
    return PeftSpec(kind="peft", config={"peft_type": peft_type, **config})


def fill(tensors):
    """Return tensors of the same shapes with random numbers."""
    generator = torch.Generator().manual_seed(5)
    return {name: torch.randn(tensor.shape, generator=generator) * 0.2 for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (
            DoraSpec(kind="dora", rank=4, alpha=8, targets=("q", "v")),
            LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=["q", "v"]),
        ),
        (
            RsloraSpec(kind="rslora", rank=4, alpha=8, targets=("q", "v")),
            LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=["q", "v"]),
        ),
        (
            OftSpec(kind="oft", block_size=8, targets=("q", "v")),
            OFTConfig(oft_block_size=8, target_modules=["q", "v"]),
        ),
        (Ia3Spec(kind="ia3"), IA3Config()),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_logits_equal_those_of_pefts_own_model_with_the_same_weights(spec, config):
    ours, peft_model = adapt(spec), get_peft_model(tiny("flan"), config)
    tensors = fill(ours.parts[0].stored())
    ours.parts[0].restore(tensors)
    missing = set_peft_model_state_dict(peft_model, tensors)
    assert not missing.unexpected_keys
    with torch.no_grad():
        expected = peft_model.eval()(**batch()).logits
        torch.testing.assert_close(ours.model(**batch()).logits, expected)


def test_pissa_trained_equals_pefts_own_which_changes_the_base():
    spec = PissaSpec(kind="pissa", rank=3, alpha=3, iterations=None, targets=("q", "v"))
    config = LoraConfig(r=3, lora_alpha=3, init_lora_weights="pissa", target_modules=["q", "v"])
    ours, theirs = adapt(spec), get_peft_model(tiny("flan"), config).eval()
    own = {name: one for name, one in ours.parts[0].stored().items() if not name.startswith("start.")}
    for name, tensor in get_peft_model_state_dict(theirs).items():
        torch.testing.assert_close(own[name], tensor)
    rates = 0.1
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(
            ours.family.logits(ours.family.read_and_predict(**batch())).flatten(0, 1),
            batch()["labels"].flatten(),
        )
        expected = theirs(**batch()).loss
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
        for result, parameters in (
            (loss, ours.parameters()),
            (expected, [one for one in theirs.parameters() if one.requires_grad]),
        ):
            result.backward()
            with torch.no_grad():
                for parameter in parameters:
                    parameter -= rates * parameter.grad
                    parameter.grad = None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (peft_spec("LORAA"), r"peft_type must be a type of PEFT .*'LORAA'; did you mean 'LORA'"),
        (
            peft_spec("LOHA", rank_dropot=0.1),
            r"config of PEFT's LOHA: unknown name 'rank_dropot'; did you mean",
        ),
        (peft_spec("LOHA", r="eight"), r"config of PEFT's LOHA: r: .*integer.*'eight'"),
        (peft_spec("LOHA", r=0), r"PEFT cannot put LOHA on this model: .*; change its settings"),
        (peft_spec("LOHA", task_type="CAUSAL_LM"), r"task_type cannot be set, as it .*; leave it out"),
        (peft_spec("LOHA", target_modules=["query"]), r"PEFT cannot put LOHA on this model: .*'query'"),
        (peft_spec("LORA", init_lora_weights="eva"), r"init_lora_weights must be true, false, .*'eva'"),
        (peft_spec("LORA", bias="all"), r"bias cannot be set, .*kind: bias"),
        (peft_spec("ADALORA", init_r=4), r"`target_r < init_r` must hold"),
        (peft_spec("ADALORA", total_step=5), r"total_step cannot be set, as it is the length of the run"),
        (peft_spec("LORA", megatron_core="json"), r"megatron_core cannot be set, as it names a module"),
        (peft_spec("LORA", megatron_config={"a": 1}), r"megatron_config cannot be set, as it is for models"),
        (peft_spec("P_TUNING"), r"PEFT's P_TUNING cannot be used here: .*use kind: prompt"),
        (DoraSpec(kind="dora", targets=("query",)), r"'query'.*it has k, lm_head"),
    ],
)
def test_a_config_that_breaks_a_rule_is_refused_in_one_line(spec, message):
    model = tiny("flan")
    with pytest.raises(StudyError, match=message) as caught:
        adapt(spec, model)
    assert "\n" not in str(caught.value)
    assert [name for name, _ in model.named_modules()] == [name for name, _ in tiny("flan").named_modules()]


def test_a_type_that_the_model_cannot_carry_is_unfit_and_leaves_the_model_as_it_was():
    model = tiny("gpt2")
    with pytest.raises(UnfitError, match="PEFT cannot put HRA on this model: Target module Conv1D"):
        adapt(peft_spec("HRA"), model)
    assert [name for name, _ in model.named_modules()] == [name for name, _ in tiny("gpt2").named_modules()]


def test_every_type_can_be_used_or_is_refused_with_what_to_use_instead():
    used = set(TYPES)
    assert used | set(REFUSED) == {one.value for one in PeftType}
    assert not used & set(REFUSED)
    for reason in REFUSED.values():
        kind = reason.rpartition("use kind: ")[2]
        assert kind in KINDS, reason


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_the_outcome_of_every_type_is_a_row_for_the_table_of_methods():
    rows = list(outcomes())
    assert len(rows) == 2 * len(PeftType)
    for row in rows:
        if row.method in REFUSED:
            assert not row.trains
            assert REFUSED[row.method] in str(row.refusal)
        else:
            assert row.trains, row
            assert row.starts_as_base == TYPES[row.method].starts_as_base
            assert row.stored >= row.trained


def test_two_methods_that_name_their_tensors_alike_are_refused_in_a_stack():
    stack = StackSpec(kind="stack", parts=(DoraSpec(kind="dora"), RsloraSpec(kind="rslora")))
    with pytest.raises(StudyError, match="PEFT's LORA cannot be in a stack with another method of PEFT"):
        adapt(stack)


def test_seeds_of_what_peft_draws_apart_come_from_the_run_and_are_saved(tmp_path):
    spec = peft_spec("FOURIERFT", n_frequency=20)
    first, other = adapt(spec), adapt(spec, seed=1)
    seeds = [one.method.config["random_loc_seed"] for one in (first, other)]
    assert seeds[0] != seeds[1]
    save(first, tmp_path / "adapter")
    assert load(tiny("flan"), tmp_path / "adapter").method.config["random_loc_seed"] == seeds[0]
    chosen = adapt(peft_spec("FOURIERFT", n_frequency=20, random_loc_seed=7))
    assert chosen.method.config["random_loc_seed"] == 7
