"""Mixtures: rates, the rows of an epoch, and the score that chooses."""

from collections import Counter
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.task_specs import classification, summarization
from helpers.training_rows import examples
from tuneoff.spec import LoraSpec, Mixture, ModelSpec, RunSpec, TrainingSpec
from tuneoff.training import total_steps, windows
from tuneoff.training.mixing import Mixing, joined_scores, quotas, scores_on

TRAINING = TrainingSpec(max_steps=30, per_device_train_batch_size=3)
COUNTS = st.lists(st.integers(1, 30), min_size=2, max_size=4)


def epochs(mixing, count):
    return list(islice(mixing.epochs(), count))


def batches(rows, *, mixing=None, seed=0, grouped=True):
    training = TRAINING.model_copy(update={"group_by_length": grouped})
    order = torch.Generator().manual_seed(seed)
    return list(windows(rows, training, order=order, steps=30, mixing=mixing))


@pytest.mark.parametrize(
    ("rate", "cap", "expected"),
    [
        ("proportional", None, (100, 4000, 30)),
        ("proportional", 1000, (100, 1000, 30)),
        ("equal", None, (4000, 4000, 4000)),
        ("equal", 1000, (1000, 1000, 1000)),
        ("equal", 50, (50, 50, 50)),
    ],
)
def test_an_epoch_has_rows_of_each_task_at_its_rate_up_to_the_cap(rate, cap, expected):
    # T5's examples-proportional mixing: the rate of task m is min(e_m, K) / sum of min(e_n, K)
    assert quotas([100, 4000, 30], rate=rate, cap=cap) == expected


@given(COUNTS, st.sampled_from(["proportional", "equal"]), st.none() | st.integers(1, 40), st.integers(1, 5))
def test_rows_of_a_task_come_at_its_rate_and_none_again_before_all_have_come(counts, rate, cap, number):
    shares = quotas(counts, rate=rate, cap=cap)
    used = Counter()
    starts = [sum(counts[:task]) for task in range(len(counts))]
    for rows in epochs(Mixing(tuple(counts), shares, seed=3), number):
        owners = Counter(max(task for task, start in enumerate(starts) if start <= row) for row in rows)
        assert [owners[task] for task in range(len(counts))] == list(shares)
        used.update(rows)
    for start, count in zip(starts, counts, strict=True):
        times = [used[row] for row in range(start, start + count)]
        assert max(times) - min(times) <= 1


def test_the_rows_of_an_epoch_are_a_function_of_the_seed():
    first, again, other = (epochs(Mixing((40, 9), (10, 10), seed), 4) for seed in (0, 0, 1))
    assert first == again != other
    assert first[0] != first[1]


def test_two_tasks_of_equal_size_do_not_give_the_rows_of_equal_numbers():
    rows = epochs(Mixing((40, 40), (10, 10), seed=0), 1)[0]
    assert [row for row in rows if row < 40] != [row - 40 for row in rows if row >= 40]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_mixture_of_a_task_with_itself_has_the_batches_of_its_doubled_rows(grouped):
    rows = [*examples(), *examples()]
    half = len(rows) // 2
    mixing = Mixing((half, half), quotas([half, half], rate="proportional", cap=None), seed=7)
    assert batches(rows, mixing=mixing, grouped=grouped) == batches(rows, grouped=grouped)
    assert total_steps(TRAINING, mixing.epoch_rows) == total_steps(TRAINING, len(rows))


def test_batches_mix_the_tasks_in_another_order_for_another_seed():
    rows = examples()
    half = len(rows) // 2
    mixing = Mixing((half, len(rows) - half), (half, half), seed=0)
    first, again, other = (batches(rows, mixing=mixing, seed=seed, grouped=False) for seed in (0, 0, 1))
    assert first == again != other
    numbers = [[rows.index(row) for row in batch] for window in first for batch in window]
    assert any(min(batch) < half <= max(batch) for batch in numbers)


SCORES = {
    "films": {"eval_loss": 2.0, "eval_accuracy": 0.7},
    "news": {"eval_loss": 3.0, "eval_rougeL": 0.2},
}


def run_on(task):
    tasks = {"films": classification(), "news": summarization()}
    return RunSpec(
        task_name=task,
        method_name="lora@both",
        model=ModelSpec(id="builtin:random"),
        task=tasks[task],
        method=LoraSpec(kind="lora"),
        train_size="full",
        seed=0,
        training=TRAINING,
        mixture=Mixture(tasks=tasks, rate="equal", cap=None),
    )


def test_the_score_that_chooses_is_the_mean_of_the_main_metrics():
    films = joined_scores(run_on("films"), SCORES)
    assert films[run_on("films").selection_metric] == pytest.approx((0.7 + 0.2) / 2)
    assert {name: films[name] for name in SCORES["films"]} == SCORES["films"]


def test_the_scores_of_a_further_task_are_found_in_those_of_the_first():
    found = scores_on("news", joined_scores(run_on("films"), SCORES))
    assert found == SCORES["news"] | {"eval_mixture": pytest.approx(0.45)}


def test_a_run_on_its_own_task_alone_has_its_scores_alone():
    alone = run_on("films").model_copy(update={"mixture": None})
    assert joined_scores(alone, {"films": SCORES["films"]}) == SCORES["films"]
    assert alone.selection_metric == "eval_accuracy"
