import math
from typing import get_args

import pytest
import torch
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, get_scheduler
from transformers.optimization import Adafactor

from helpers.models import tiny_t5
from helpers.swallowing import ctrl_c_that_is_swallowed
from helpers.training_rows import examples, without_dropout
from tuneoff.errors import DivergedError
from tuneoff.interrupts import interrupts_remembered
from tuneoff.methods import attach
from tuneoff.spec import FullSpec, LoraSpec, PrefixSpec, PromptSpec, StackSpec, TrainingSpec
from tuneoff.spec.base import Scheduler
from tuneoff.training import collate, fit, total_steps, windows
from tuneoff.training.loop import _Best
from tuneoff.training.optim import has_weight_decay, make_optimizer, make_schedule

CPU = torch.device("cpu")


def order(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adapt(model, method):
    return attach(model, method, generator=order(), tokenizer=None)


def run(adapted, training, *, scores=None, rows=None, seed=0):
    """Return the curve of a fit whose validation scores are given."""
    points = []
    given = iter(scores) if scores else None
    result = fit(
        adapted,
        examples() if rows is None else rows,
        training=training,
        dtype="float32",
        order=order(seed),
        pad_token_id=0,
        evaluate=lambda: {"metric": next(given) if given else 0.0},
        metric="metric",
        on_point=points.append,
    )
    return result, points


class ListTrainer(Seq2SeqTrainer):
    """Transformers' trainer on batches that are given."""

    def __init__(self, batches, **kwargs):
        super().__init__(**kwargs)
        self.batches = batches

    def get_train_dataloader(self):
        return self.batches


def trainer_losses(method, training, tmp_path, *, optim):
    """Losses and gradient norms of Seq2SeqTrainer on the batches that our loop sees."""
    adapted = adapt(without_dropout(tiny_t5()), method)
    batches = [
        collate(batch, prompt_ids=adapted.prompt_ids, pad_token_id=0, device=CPU)
        for window in windows(examples(), training, order=order(), steps=training.max_steps)
        for batch in window
    ]
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(tmp_path),
        max_steps=training.max_steps,
        learning_rate=method.learning_rate,
        optim=optim,
        lr_scheduler_type=training.lr_scheduler_type,
        warmup_steps=training.warmup_ratio,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = ListTrainer(batches, model=adapted.model, args=arguments, train_dataset=[0] * 40)
    if method.scale_parameter:  # the name alone always means Adafactor without it
        scaled = {"lr": method.learning_rate, "scale_parameter": True, "relative_step": False}
        trainer.optimizer_cls_and_kwargs = Adafactor, scaled
    trainer.train()
    return [(row["loss"], row["grad_norm"]) for row in trainer.state.log_history if "loss" in row]


LORA = LoraSpec(kind="lora", learning_rate=1e-2), "adamw_torch"
PROMPT = PromptSpec(kind="prompt", length=3, init="random", learning_rate=0.3, optim="adafactor"), "adafactor"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "optim", "scheduler"),
    [
        (FullSpec(kind="full", learning_rate=1e-2), "adamw_torch", "linear"),
        (
            FullSpec(kind="full", learning_rate=1e-2, optim="adafactor", scale_parameter=True),
            "adafactor",
            "cosine",
        ),
        (PrefixSpec(kind="prefix", length=3, projection=4, learning_rate=1e-2), "adamw_torch", "linear"),
        # a schedule is the same for every method: each one once for either optimizer
        *((*method, scheduler) for method in (LORA, PROMPT) for scheduler in ("linear", "cosine")),
        *((*method, "constant_with_warmup") for method in (LORA, PROMPT)),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_losses_and_gradient_norms_equal_those_of_the_trainer_of_transformers(
    method, optim, scheduler, tmp_path
):
    training = TrainingSpec(
        max_steps=9,
        per_device_train_batch_size=8,
        logging_steps=1,
        lr_scheduler_type="constant" if scheduler == "constant_with_warmup" else scheduler,
        warmup_ratio=0.2,
        weight_decay=0.1,
        max_grad_norm=1.0,
    )
    adapted = adapt(without_dropout(tiny_t5()), method)
    _, points = run(adapted, training)
    ours = [(point.loss, point.grad_norm) for point in points if point.loss is not None]
    if scheduler == "constant_with_warmup":
        their_training = training.model_copy(update={"lr_scheduler_type": scheduler})
    else:
        their_training = training
    theirs = trainer_losses(method, their_training, tmp_path, optim=optim)
    assert len(ours) == 9
    for our, their in zip(ours, theirs, strict=True):
        assert our == pytest.approx(their, rel=2e-5)


def test_accumulated_batches_make_the_step_of_one_large_batch():
    rows = examples(16)
    training = {"max_steps": 5, "logging_steps": 1, "group_by_length": False}
    method = FullSpec(kind="full", learning_rate=1e-2)
    large = TrainingSpec(**training, per_device_train_batch_size=8)
    small = TrainingSpec(**training, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    _, one = run(adapt(without_dropout(tiny_t5()), method), large, rows=rows)
    _, other = run(adapt(without_dropout(tiny_t5()), method), small, rows=rows)
    assert [p.loss for p in other if p.loss] == pytest.approx([p.loss for p in one if p.loss], rel=1e-4)


@pytest.mark.parametrize(
    ("load_best", "kept", "expected"),
    [(True, 2, (4, {"metric": 0.7}, 6)), (False, 3, (6, {"metric": 0.6}, 6))],
    ids=["best", "last"],
)
def test_the_best_or_the_last_weights_are_left_in_the_model(load_best, kept, expected):
    training = TrainingSpec(max_steps=6, eval_steps=2, logging_steps=1, load_best_model_at_end=load_best)
    seen = []
    adapted = adapt(tiny_t5(), LoraSpec(kind="lora"))
    scores = iter([0.9, 0.2, 0.7, 0.7 if load_best else 0.6])

    def evaluate():
        seen.append([parameter.detach().clone() for parameter in adapted.parameters()])
        return {"metric": next(scores)}

    result = fit(
        adapted,
        examples(),
        training=training,
        dtype="float32",
        order=order(),
        pad_token_id=0,
        evaluate=evaluate,
        metric="metric",
        on_point=lambda point: None,
    )
    assert (result.best_step, result.validation, result.steps) == expected
    pairs = zip(adapted.parameters(), seen[kept], strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


def test_training_stops_early_after_evaluations_without_a_better_score():
    training = TrainingSpec(max_steps=50, eval_steps=2, early_stopping_patience=2)
    result, _ = run(
        adapt(tiny_t5(), LoraSpec(kind="lora")), training, scores=[0, 0.5, 0.4, 0.6, 0.1, 0.2, 0.9]
    )
    assert (result.best_step, result.steps) == (6, 10)


def test_a_loss_that_is_not_finite_ends_the_run():
    adapted = adapt(tiny_t5(), FullSpec(kind="full"))
    with torch.no_grad():
        adapted.model.lm_head.weight[5] = math.nan
    with pytest.raises(DivergedError, match="at step 1 the loss is nan"):
        run(adapted, TrainingSpec(max_steps=3))


def test_a_validation_score_that_is_not_finite_ends_the_run():
    adapted = adapt(tiny_t5(), LoraSpec(kind="lora"))
    with pytest.raises(DivergedError, match="at step 2 metric on validation is nan"):
        run(adapted, TrainingSpec(max_steps=4, eval_steps=2), scores=[0.5, math.nan])


def test_the_curve_starts_with_an_evaluation_and_ends_with_one():
    training = TrainingSpec(max_steps=7, eval_steps=3, logging_steps=2)
    _, points = run(adapt(tiny_t5(), LoraSpec(kind="lora")), training)
    assert [point.step for point in points if point.scores] == [0, 3, 6, 7]
    assert [point.step for point in points if point.loss] == [2, 4, 6, 7]


@pytest.mark.parametrize("kind", ["t5", "flan"])
@pytest.mark.parametrize(
    "method",
    [
        FullSpec(kind="full"),
        LoraSpec(kind="lora"),
        StackSpec(
            kind="stack",
            parts=(
                PrefixSpec(kind="prefix", length=3, projection=4),
                PromptSpec(kind="prompt", init="random"),
            ),
        ),
    ],
    ids=lambda method: method.kind,
)
def test_weight_decay_is_that_of_the_trainer_of_transformers(method, kind, tmp_path):
    adapted = adapt(tiny_t5(kind), method)
    arguments = Seq2SeqTrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    trainer = Seq2SeqTrainer(model=adapted.model, args=arguments)
    expected = set(trainer.get_decay_parameter_names(adapted.model))
    names = {name for name, _ in adapted.model.named_parameters()}
    assert {name for name in names if has_weight_decay(name)} == expected & names
    optimizer = make_optimizer(adapted, TrainingSpec(max_steps=1, weight_decay=0.1))
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    ours = {name for name, p in adapted.model.named_parameters() if decays.get(id(p))}
    assert ours == {name for name, p in adapted.model.named_parameters() if id(p) in decays} & expected


@pytest.mark.parametrize("warmup", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("kind", get_args(Scheduler))
def test_a_schedule_has_the_rates_of_that_of_transformers(kind, warmup):
    adapted = adapt(tiny_t5(), LoraSpec(kind="lora", rank=2, learning_rate=0.5))
    training = TrainingSpec(max_steps=10, lr_scheduler_type=kind, warmup_ratio=warmup)
    own, theirs = make_optimizer(adapted, training), make_optimizer(adapted, training)
    schedule = make_schedule(own, adapted, training, steps=10)
    name = "constant_with_warmup" if kind == "constant" else kind
    expected = get_scheduler(name, theirs, num_warmup_steps=round(10 * warmup), num_training_steps=10)
    for _ in range(10):
        assert schedule.get_last_lr() == pytest.approx(expected.get_last_lr())
        own.step()
        theirs.step()
        schedule.step()
        expected.step()


def test_each_part_of_a_stack_learns_at_its_own_rate():
    parts = (
        LoraSpec(kind="lora", learning_rate=1e-3),
        PromptSpec(kind="prompt", init="random", learning_rate=0.3),
    )
    adapted = adapt(tiny_t5(), StackSpec(kind="stack", parts=parts))
    optimizer = make_optimizer(adapted, TrainingSpec(max_steps=1))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    expected = {id(p): part.spec.learning_rate for part in adapted.parts for p in part.parameters()}
    assert rates == expected


def test_the_curve_names_the_rate_of_each_part_of_a_stack():
    parts = (
        LoraSpec(kind="lora", learning_rate=1e-3),
        PromptSpec(kind="prompt", init="random", learning_rate=0.3),
    )
    training = TrainingSpec(max_steps=4, logging_steps=1, lr_scheduler_type="linear", warmup_ratio=0.0)
    _, points = run(adapt(tiny_t5(), StackSpec(kind="stack", parts=parts)), training)
    logged = [point for point in points if point.loss is not None]
    assert [point.learning_rate for point in logged] == [None] * 4
    for step, point in enumerate(logged):
        left = 1 - step / 4
        assert point.learning_rates == pytest.approx({"lora": 1e-3 * left, "prompt": 0.3 * left})
    _, points = run(adapt(tiny_t5(), parts[0]), training)
    logged = [point for point in points if point.loss is not None]
    assert [point.learning_rate for point in logged] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert [point.learning_rates for point in logged] == [None] * 4


def test_the_best_weights_are_kept_in_the_same_memory():
    adapted = adapt(tiny_t5(), LoraSpec(kind="lora"))
    best = _Best("metric", adapted.parameters())
    best.offer(1, {"metric": 0.1})
    places = [weight.data_ptr() for weight in best.weights]
    with torch.no_grad():
        adapted.parameters()[0].add_(1)
    best.offer(2, {"metric": 0.2})
    assert [weight.data_ptr() for weight in best.weights] == places
    assert torch.equal(best.weights[0], adapted.parameters()[0])


def test_epochs_become_the_steps_that_cover_them():
    epochs = TrainingSpec(num_train_epochs=2.5, per_device_train_batch_size=8, gradient_accumulation_steps=2)
    # 41 rows make 6 batches, 3 steps an epoch
    assert total_steps(epochs, 41) == math.ceil(2.5 * 3)


def test_another_seed_gives_another_order_and_an_equal_one_the_same_for_every_method():
    training = TrainingSpec(max_steps=8, per_device_train_batch_size=4)
    rows = examples()
    first, again, other = (list(windows(rows, training, order=order(seed), steps=8)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_training_ends_after_a_ctrl_c_that_was_swallowed():
    points = []

    def swallow(point):
        points.append(point.step)
        ctrl_c_that_is_swallowed()

    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        fit(
            adapt(tiny_t5(), FullSpec(kind="full")),
            examples(),
            training=TrainingSpec(max_steps=3),
            dtype="float32",
            order=order(),
            pad_token_id=0,
            evaluate=lambda: {"metric": 0.0},
            metric="metric",
            on_point=swallow,
        )
    assert points == [0]
