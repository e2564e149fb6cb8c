import pytest
import torch
from peft import AdaLoraConfig, get_peft_model, set_peft_model_state_dict
from transformers import get_scheduler

from helpers.method_contract import MethodContract
from helpers.models import batch, tiny_t5
from helpers.training_rows import examples, without_dropout
from tuneoff.errors import UnfitError
from tuneoff.methods import attach, load, save
from tuneoff.spec import AdaloraSpec, PeftSpec, TrainingSpec
from tuneoff.training import collate, fit, windows
from tuneoff.training.loop import OptimizerSteps

SPEC = AdaloraSpec(kind="adalora", rank=2, initial_rank=4, learning_rate=3e-2, targets=("q", "v", "wo"))
STEPS = 30
TRAINING = TrainingSpec(max_steps=STEPS, per_device_train_batch_size=8, eval_steps=10, warmup_ratio=0.1)


@pytest.mark.slow
class TestAdalora(MethodContract):
    method = AdaloraSpec(kind="adalora", rank=2, initial_rank=3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def adapt(spec=SPEC):
    return attach(without_dropout(tiny_t5()), spec, generator=generator(), tokenizer=None)


def trained(adapted, *, scores=(0.0, 0.1, 0.2, 0.3)):
    """Train for 30 steps; `scores` are those of validation before them and every ten steps."""
    given = iter(scores)
    return fit(
        adapted,
        examples(),
        training=TRAINING,
        dtype="float32",
        order=generator(),
        pad_token_id=0,
        evaluate=lambda: {"metric": next(given)},
        metric="metric",
        on_point=lambda point: None,
    )


def logits(adapted):
    with torch.no_grad():
        return adapted.family.logits(adapted.family.read_and_predict(**batch(seed=9)))


@pytest.fixture(scope="module")
def peft_loop():
    """Losses, gradient norms and ranks of PEFT's own model, trained as PEFT's documentation has it."""
    ours = adapt()
    config = AdaLoraConfig(
        task_type="SEQ_2_SEQ_LM",  # for the class of wrapper that adds the penalty
        target_r=2,
        init_r=4,
        lora_alpha=16,
        target_modules=["q", "v", "wo"],
        total_step=STEPS,
        tinit=3,
        tfinal=9,
        orth_reg_weight=0.5,
    )
    model = get_peft_model(without_dropout(tiny_t5()), config)
    set_peft_model_state_dict(model, ours.parts[0].stored())
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=SPEC.learning_rate, weight_decay=0.0)
    schedule = get_scheduler("linear", optimizer, num_warmup_steps=3, num_training_steps=STEPS)
    losses = []
    model.train()
    for step, window in enumerate(windows(examples(), TRAINING, order=generator(), steps=STEPS), start=1):
        inputs = collate(window[0], prompt_ids=(), pad_token_id=0, device=torch.device("cpu"))
        loss = model(**inputs).loss
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, TRAINING.max_grad_norm)
        optimizer.step()
        schedule.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        losses.append((loss.item(), float(norm)))
    ranks = {
        name.removeprefix("base_model.model.").removesuffix(".lora_E.default"): int((e != 0).sum())
        for name, e in model.named_parameters()
        if "lora_E" in name
    }
    return losses, ranks


@pytest.mark.slow
def test_losses_gradient_norms_and_ranks_equal_those_of_pefts_own_training(peft_loop):
    losses, ranks = peft_loop
    adapted = adapt()
    steps = OptimizerSteps(adapted, TRAINING, dtype="float32", steps=STEPS, pad_token_id=0)
    ours = [
        steps.take(window, step)
        for step, window in enumerate(windows(examples(), TRAINING, order=generator(), steps=STEPS), start=1)
    ]
    torch.testing.assert_close([(one.loss, one.grad_norm) for one in ours], losses, rtol=1e-3, atol=1e-4)
    assert adapted.ranks() == ranks
    # 2 on average, and not the same everywhere
    assert sum(ranks.values()) == 2 * len(ranks)
    assert len(set(ranks.values())) > 1


@pytest.mark.slow
def test_folded_it_stores_the_kept_ranks_alone_and_computes_the_same(tmp_path):
    adapted = adapt()
    whole = sum(tensor.numel() for tensor in adapted.stored().values())
    trained(adapted)
    before, ranks = logits(adapted), adapted.ranks()
    adapted.fold()
    torch.testing.assert_close(logits(adapted), before, rtol=1e-5, atol=1e-5)
    stored = adapted.parts[0].stored()
    assert {name: len(stored[f"base_model.model.{name}.lora_E"]) for name in ranks} == ranks
    assert sum(tensor.numel() for tensor in stored.values()) < whole
    save(adapted, tmp_path / "adapter")
    loaded = load(without_dropout(tiny_t5()), tmp_path / "adapter")
    assert torch.equal(logits(loaded), logits(adapted))
    assert loaded.ranks() == ranks


@pytest.mark.slow
def test_the_ranks_are_those_of_the_step_whose_weights_are_kept():
    """The first evaluation after a step is the best, when few ranks are dropped yet."""
    early, late = adapt(), adapt()
    trained(early, scores=(0.0, 0.9, 0.2, 0.3))
    trained(late)
    assert sum(late.ranks().values()) < sum(early.ranks().values()) < 4 * len(early.ranks())
    before = logits(early)
    early.fold()
    torch.testing.assert_close(logits(early), before, rtol=1e-5, atol=1e-5)


def test_a_run_too_short_for_the_schedule_is_refused_with_its_steps():
    spec = PeftSpec(
        kind="peft", config={"peft_type": "ADALORA", "init_r": 4, "target_r": 2, "tinit": 10, "tfinal": 25}
    )
    with pytest.raises(UnfitError, match=r"of 30 steps 10 are before and 25 after; train longer"):
        trained(adapt(spec))


def test_without_a_weight_there_is_no_penalty():
    assert adapt(SPEC.model_copy(update={"orthogonality": 0.0})).penalty() is None


def test_the_penalty_is_the_distance_from_orthogonal_matrices_by_hand():
    adapted = adapt(SPEC.model_copy(update={"orthogonality": 0.25}))
    distances = []
    for name, tensor in adapted.parts[0].stored().items():
        if "lora_E" not in name:
            rows = tensor if "lora_A" in name else tensor.T  # [4, ...]
            distances.append((rows @ rows.T - torch.eye(4)).square().sum().sqrt())
    torch.testing.assert_close(adapted.penalty(), 0.25 * torch.stack(distances).mean())
