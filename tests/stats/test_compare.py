import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from tuneoff.spec import TrainSize
from tuneoff.stats.cells import Cell, method_pairs
from tuneoff.stats.compare import Comparison, compare, comparisons, holm
from tuneoff.stats.examples import Scores

Floats = NDArray[np.float64]
EXAMPLES = 400
DIFFICULTY = np.random.default_rng(99).normal(0.5, 0.2, EXAMPLES)


def answers(
    level: float, *, seeds: int = 5, wobble: float = 0.002, noise: float = 0.05, draw: int = 0
) -> Floats:
    """Scores [seeds, EXAMPLES] of a method that is above the examples' common difficulty by its level."""
    random = np.random.default_rng(draw)
    of_seed = wobble * random.standard_normal((seeds, 1))
    return level + DIFFICULTY + of_seed + noise * random.standard_normal((seeds, EXAMPLES))


def scores(values: Floats, *, seeds: tuple[int, ...] | None = None, first_row: int = 0) -> Scores:
    runs, examples = values.shape
    return Scores(seeds or tuple(range(runs)), tuple(range(first_row, first_row + examples)), values)


def compared(
    cells: dict[Cell, Scores],
    *,
    references: tuple[str, ...] = ("full",),
    untrained: frozenset[str] = frozenset({"zero_shot"}),
    margin: float | None = None,
) -> tuple[Comparison, ...]:
    metrics = {task: "eval_accuracy" for task, _, _ in cells}
    return comparisons(cells, references=references, untrained=untrained, margin=margin, metrics=metrics)


def one(method: Floats, reference: Floats, *, margin: float | None = None) -> Comparison:
    cells: dict[Cell, Scores] = {
        Cell("reviews", "lora", 100): scores(method),
        Cell("reviews", "full", 100): scores(reference),
    }
    (found,) = compared(cells, margin=margin)
    return found


def names(found: tuple[Comparison, ...]) -> list[tuple[TrainSize, str, str]]:
    return [(item.train_size, item.method, item.reference) for item in found]


def test_one_seed_without_bounds_is_compared_by_students_test_on_pairs_of_examples() -> None:
    method, reference = 100 * answers(0.01, seeds=1, draw=1), 100 * answers(0, seeds=1, draw=2)
    expected = stats.ttest_rel(method[0], reference[0])
    found = compare(method, reference)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        tuple(expected.confidence_interval())
    )


@pytest.mark.parametrize(("right", "wrong"), [(12, 3), (5, 0), (30, 31)])
def test_right_or_wrong_answers_of_one_model_are_compared_by_the_exact_sign_test(
    right: int, wrong: int
) -> None:
    method, reference = np.zeros((1, 200)), np.zeros((1, 200))
    method[0, :right] = 1
    reference[0, right : right + wrong] = 1
    expected = stats.binomtest(right, right + wrong).pvalue
    assert compare(method, reference).p_value == pytest.approx(expected)


@pytest.mark.parametrize("margin", [0.2, 1, 3])
def test_equivalence_without_bounds_is_two_one_sided_tests(margin: float) -> None:
    method, reference = 100 * answers(0.004, seeds=1, draw=1), 100 * answers(0, seeds=1, draw=2)
    expected, _, _ = ttost_paired(method[0], reference[0], -margin, margin)
    assert compare(method, reference, margin=margin).p_equivalence == pytest.approx(expected, rel=1e-6)


def test_without_a_margin_there_is_no_test_of_equivalence() -> None:
    found = one(answers(0, draw=1), answers(0, draw=2))
    assert (found.p_equivalence, found.p_equivalence_adjusted) == (None, None)


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_sign_flip_test_counts_all_signs_of_the_seeds_differences(seeds: int) -> None:
    method, reference = answers(0.001, seeds=seeds, draw=1), answers(0, seeds=seeds, draw=2)
    differences = (method - reference).mean(1)
    flipped = [np.mean(signs * differences) for signs in itertools.product((-1, 1), repeat=seeds)]
    extreme = [abs(mean) >= abs(differences.mean()) - 1e-12 for mean in flipped]
    assert compare(method, reference).sign_flip_p == pytest.approx(np.mean(extreme))


@pytest.mark.parametrize("seeds", [16, 40])
def test_the_signs_of_many_seeds_are_flipped_at_random(seeds: int) -> None:
    method, reference = answers(0.001, seeds=seeds, draw=1), answers(0, seeds=seeds, draw=2)
    drawn = stats.permutation_test(
        ((method - reference).mean(1),),
        np.mean,
        vectorized=True,
        permutation_type="samples",
        n_resamples=2**15 - 1,
        rng=1,
    )
    assert 0.02 < drawn.pvalue < 0.98
    assert compare(method, reference).sign_flip_p == pytest.approx(drawn.pvalue, abs=0.015)


@pytest.mark.parametrize(("seeds", "floor"), [(3, 0.25), (5, 0.0625)])
def test_the_sign_flip_test_of_few_seeds_cannot_go_below_its_floor(seeds: int, floor: float) -> None:
    found = one(answers(0.5, seeds=seeds, draw=1), answers(0, seeds=seeds, draw=2))
    assert (found.sign_flip_p, found.sign_flip_floor) == pytest.approx((floor, floor))


def test_one_seed_has_no_signs_to_flip() -> None:
    found = one(answers(0.5, seeds=1), answers(0, seeds=1))
    assert (found.sign_flip_p, found.sign_flip_floor) == (None, None)


def test_the_effect_size_is_the_mean_of_the_examples_differences_by_their_deviation() -> None:
    method, reference = (
        np.array([[0.9, 0.4, 0.8], [0.7, 0.6, 0.6]]),
        np.array([[0.5, 0.3, 0.5], [0.5, 0.5, 0.5]]),
    )
    # seed averages 0.3, 0.1, 0.2: mean 0.2, deviation 0.1
    assert compare(method, reference).effect_size == pytest.approx(2)
    assert compare(reference, reference).effect_size is None


@pytest.mark.slow
def test_holms_adjustment_of_three_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04 times 3, 2, 1, and never below the one before
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.6]) == pytest.approx([1, 1])
    assert holm([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 7, 60])
def test_holms_adjustment_is_that_of_statsmodels(size: int) -> None:
    p_values = np.random.default_rng(size).beta(0.3, 3, size).round(2).tolist()  # with ties
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.slow
@given(st.integers(1, 5), st.integers(0, 50))
def test_turning_a_comparison_round_turns_its_difference_and_nothing_else(seeds: int, draw: int) -> None:
    method, reference = answers(0.01, seeds=seeds, draw=draw), answers(0, seeds=seeds, draw=draw + 1000)
    there, back = (compare(*pair, margin=0.02) for pair in ((method, reference), (reference, method)))
    assert (-back.difference.high, -back.difference.low) == pytest.approx(
        (there.difference.low, there.difference.high)
    )
    assert back.effect_size == pytest.approx(-(there.effect_size or 0))
    others = ("p_value", "sign_flip_p", "p_equivalence")
    assert [getattr(back, name) for name in others] == pytest.approx(
        [getattr(there, name) for name in others]
    )


@pytest.mark.slow
def test_a_method_that_is_clearly_above_its_reference_is_better_and_the_reference_worse() -> None:
    above, below = answers(0.05, draw=1), answers(0, draw=2)
    assert one(above, below).outcome == "better"
    assert one(below, above).outcome == "worse"
    assert one(above, below).difference.mean == pytest.approx(0.05, abs=0.01)


@pytest.mark.slow
def test_methods_that_differ_by_less_than_the_margin_for_certain_are_equivalent() -> None:
    assert one(answers(0, draw=1), answers(0, draw=2), margin=0.02).outcome == "equivalent"


@pytest.mark.slow
def test_a_certain_difference_within_the_margin_is_both() -> None:
    above, below = answers(0.012, wobble=0, draw=1), answers(0, wobble=0, draw=2)
    assert one(above, below, margin=0.03).outcome == "better within the margin"
    found = one(below, above, margin=0.03)
    assert found.outcome == "worse within the margin"
    assert found.level_or_better
    assert not one(below, above, margin=0.005).level_or_better


@pytest.mark.slow
def test_more_examples_never_take_the_levelness_of_a_method_away() -> None:
    """A loss of .004 with a margin of .01: unclear on few examples, level on many, where it is certain."""
    random = np.random.default_rng(0)
    noise = 0.1 * random.standard_normal((5, 30_000))
    found = [
        one(0.5 - 0.004 + noise[:, :size], np.full((5, size), 0.5), margin=0.01) for size in (50, 30_000)
    ]
    assert [item.level_or_better for item in found] == [False, True]
    assert found[1].outcome == "worse within the margin"


@pytest.mark.slow
def test_a_method_that_may_be_better_but_not_much_worse_is_not_inferior() -> None:
    found = one(answers(0.01, wobble=0.05, draw=1), answers(0, wobble=0.05, draw=2), margin=0.02)
    assert found.outcome == "not inferior"
    assert found.level_or_better
    assert found.p_noninferiority_adjusted is not None
    assert found.p_equivalence_adjusted is not None
    assert found.p_noninferiority_adjusted < 0.05 <= found.p_equivalence_adjusted


def test_one_more_answer_that_differs_never_makes_equivalence_more_certain() -> None:
    reference = np.ones((3, 20))
    p_values = []
    for wrong in range(6):
        method = reference.copy()
        method.flat[:wrong] = 0  # of the first seed
        p_values.append(compare(method, reference, margin=0.1).p_equivalence)
    assert p_values[0] == pytest.approx(0.9**20)
    assert p_values == sorted(p_values)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "examples", "margin", "agree"), [(3, 60, 0.1, 1.0), (5, 200, 0.02, 0.7)])
def test_methods_that_lose_a_few_answers_are_rarely_called_equivalent(
    seeds: int, examples: int, margin: float, agree: float
) -> None:
    """Where the true loss is just the margin; a t-test calls them so in up to a fifth of studies."""
    random = np.random.default_rng(0)
    called, held = 0, 0
    for _ in range(150):
        lost = random.random(examples) < margin / agree
        losses = -(lost & (random.random((seeds, examples)) < agree)).astype(float)
        found = compare(losses, np.zeros((1, examples)), margin=margin)
        called += found.p_equivalence is not None and found.p_equivalence < 0.05
        held += found.difference.low <= -margin <= found.difference.high
    assert called <= 15
    assert held >= 135


@pytest.mark.slow
def test_seeds_that_vary_more_than_the_methods_differ_make_them_not_distinguishable() -> None:
    method, reference = answers(0, wobble=0.05, draw=2), answers(0.01, wobble=0.05, draw=1)
    assert one(method, reference, margin=0.02).outcome == "not distinguishable"


def test_one_seed_of_a_trained_method_makes_no_claim_whatever_the_difference() -> None:
    assert (
        one(answers(0.3, seeds=1, draw=1), answers(0, seeds=1, draw=2), margin=0.02).outcome == "single seed"
    )
    against_zero_shot = compared(
        {
            Cell("reviews", "zero_shot", "full"): scores(answers(0, seeds=1, draw=1)),
            Cell("reviews", "full", 100): scores(answers(0.3, seeds=1, draw=2)),
        }
    )
    assert [item.outcome for item in against_zero_shot] == ["single seed"]


@pytest.mark.slow
def test_two_untrained_methods_need_no_seeds() -> None:
    cells: dict[Cell, Scores] = {
        Cell("reviews", "zero_shot", "full"): scores(answers(0, seeds=1, draw=1)),
        Cell("reviews", "asked_twice", "full"): scores(answers(0.1, seeds=1, draw=2)),
        Cell("reviews", "full", 100): scores(answers(0.1, draw=3)),
    }
    untrained = frozenset({"zero_shot", "asked_twice"})
    found = compared(cells, references=("zero_shot",), untrained=untrained)
    assert names(found) == [("full", "asked_twice", "zero_shot"), (100, "full", "zero_shot")]
    assert [item.outcome for item in found] == ["better", "better"]


@pytest.mark.slow
def test_equal_answers_are_no_difference() -> None:
    same = answers(0)
    found = one(same, same, margin=0.01)
    assert (found.p_value, found.sign_flip_p) == pytest.approx((1, 1))
    assert found.outcome == "equivalent"
    assert found.difference.low < 0 < found.difference.high
    assert one(same, same).outcome == "not distinguishable"


@pytest.mark.slow
@pytest.mark.parametrize(("examples", "found"), [(20, "not distinguishable"), (300, "equivalent")])
def test_equal_answers_to_few_examples_are_no_proof_of_equivalence(examples: int, found: str) -> None:
    same = answers(0)[:, :examples]
    assert one(same, same, margin=0.01).outcome == found
    assert one(same, same, margin=0.01).p_equivalence == pytest.approx(0.99**examples, rel=1e-3)


def test_the_single_run_of_an_untrained_reference_is_held_against_every_seed() -> None:
    trained, base = answers(0.1, draw=1), answers(0, seeds=1, draw=2)
    cells: dict[Cell, Scores] = {
        Cell("reviews", "zero_shot", "full"): scores(base),
        Cell("reviews", "lora", 100): scores(trained, seeds=(5, 6, 7, 8, 9)),
    }
    (found,) = compared(cells, references=("zero_shot",))
    assert found.difference.mean == pytest.approx((trained.mean(1) - base.mean()).mean())
    assert found.difference.seed_error == pytest.approx(stats.sem(trained.mean(1)))
    assert (found.difference.seeds, found.train_size, found.outcome) == (5, 100, "better")


@pytest.mark.slow
def test_an_untrained_method_meets_its_references_at_every_train_size() -> None:
    cells: dict[Cell, Scores] = {
        Cell("reviews", "zero_shot", "full"): scores(answers(0, seeds=1)),
        Cell("reviews", "full", 100): scores(answers(0.1)),
        Cell("reviews", "full", 1000): scores(answers(0.2)),
    }
    assert names(compared(cells)) == [(100, "zero_shot", "full"), (1000, "zero_shot", "full")]


@pytest.mark.slow
def test_two_references_meet_once_and_the_untrained_one_is_the_reference() -> None:
    cells: dict[Cell, Scores] = {
        Cell("reviews", "zero_shot", "full"): scores(answers(0, seeds=1)),
        Cell("reviews", "full", 100): scores(answers(0.1)),
        Cell("reviews", "lora", 100): scores(answers(0.2)),
        Cell("reviews", "prefix", 100): scores(answers(0.3)),
    }
    assert names(compared(cells, references=("full", "zero_shot"))) == [
        (100, "full", "zero_shot"),
        (100, "lora", "full"),
        (100, "lora", "zero_shot"),
        (100, "prefix", "full"),
        (100, "prefix", "zero_shot"),
    ]
    assert names(compared(cells, references=("lora", "full"))) == [
        (100, "zero_shot", "lora"),
        (100, "zero_shot", "full"),
        (100, "full", "lora"),
        (100, "prefix", "lora"),
        (100, "prefix", "full"),
    ]


@pytest.mark.slow
def test_tasks_and_train_sizes_are_compared_apart() -> None:
    cells: dict[Cell, Scores] = {
        (task, method, size): scores(answers(0.1 * place, draw=place))
        for place, (task, size, method) in enumerate(
            itertools.product(("reviews", "dialogues"), (100, 1000), ("full", "lora"))
        )
    }
    found = compared(cells)
    assert [(item.task, item.train_size) for item in found] == list(
        itertools.product(("reviews", "dialogues"), (100, 1000))
    )
    assert [item.difference.mean for item in found] == pytest.approx([0.1] * 4, abs=0.01)


def test_only_common_seeds_and_examples_are_compared_each_with_its_own() -> None:
    method, reference = answers(0.05, draw=1), answers(0, draw=2)
    cells: dict[Cell, Scores] = {
        Cell("reviews", "lora", 100): scores(method, seeds=(4, 3, 2, 1, 0)),
        Cell("reviews", "full", 100): scores(reference[:3, 100:], first_row=100),
    }
    (found,) = compared(cells)
    expected = compare(method[[2, 3, 4], 100:], reference[[2, 1, 0], 100:])
    assert dataclasses.astuple(found.difference) == pytest.approx(dataclasses.astuple(expected.difference))
    assert (found.difference.seeds, found.difference.examples) == (3, 300)


@pytest.mark.parametrize("other", [{"seeds": (7, 8, 9, 10, 11)}, {"first_row": EXAMPLES}])
def test_a_pair_that_has_nothing_in_common_is_left_out(other: dict[str, Any]) -> None:
    cells: dict[Cell, Scores] = {
        Cell("reviews", "lora", 100): scores(answers(0), **other),
        Cell("reviews", "full", 100): scores(answers(0)),
    }
    assert compared(cells) == ()


def test_no_cells_and_no_references_give_no_comparisons() -> None:
    assert compared({}) == ()
    assert compared({Cell("reviews", "lora", 100): scores(answers(0))}) == ()


def many(*, sizes: tuple[TrainSize, ...] = ("full",), tasks: tuple[str, ...] = ("reviews",)):
    """Cells of three methods of which the second is a little better than the first."""
    return {
        (task, method, size): scores(answers(0.008 * place, draw=place))
        for task in tasks
        for size in sizes
        for place, method in enumerate(("full", "lora", "prefix"))
    }


@pytest.mark.slow
def test_the_family_is_the_comparisons_of_methods_on_one_task_and_train_size() -> None:
    found = compared(many(sizes=(100, "full"), tasks=("reviews", "dialogues")), margin=0.02)
    assert len(found) == 8
    for task, size in itertools.product(("reviews", "dialogues"), (100, "full")):
        own = [item for item in found if (item.task, item.train_size) == (task, size)]
        for kind in ("p{}", "p_noninferiority{}", "p_equivalence{}"):
            plain = [getattr(item, kind.format("" if kind != "p{}" else "_value")) for item in own]
            adjusted = [getattr(item, kind.format("_adjusted")) for item in own]
            assert adjusted == pytest.approx(holm(plain))


@pytest.mark.slow
def test_other_train_sizes_and_ablation_variants_make_no_claim_harder() -> None:
    few = compared(many())
    more: dict[Cell, Scores] = {
        Cell("reviews", f"lora-rank={place}", "full"): scores(answers(0, draw=place))
        for place in range(2, 30)
    }
    metrics = {"reviews": "eval_accuracy"}
    found = comparisons(
        many(sizes=("full", 100)) | more,
        references=("full",),
        untrained=frozenset(),
        margin=None,
        metrics=metrics,
        ablated=frozenset(method for _, method, _ in more),
    )
    same = [item for item in found if item.train_size == "full" and item.method in ("lora", "prefix")]
    assert [item.outcome for item in same] == [item.outcome for item in few]
    assert [item.p_adjusted for item in same] == pytest.approx([item.p_adjusted for item in few])
    ablations = [item for item in found if item.method.startswith("lora-")]
    expected = holm([item.p_value for item in ablations])
    assert [item.p_adjusted for item in ablations] == pytest.approx(expected)


@pytest.mark.slow
def test_a_method_on_a_mixture_meets_itself_on_the_task_alone_in_the_same_family() -> None:
    cells: dict[Cell, Scores] = {
        Cell("reviews", name, 100): scores(answers(level, draw=number))
        for number, (name, level) in enumerate({"full": 0.0, "lora": 0.01, "lora@both": 0.012}.items())
    }
    found = comparisons(
        cells,
        references=("full",),
        untrained=frozenset(),
        margin=None,
        metrics={"reviews": "eval_accuracy"},
        alone={"lora@both": "lora", "full@both": "full"},
    )
    assert {(item.method, item.reference) for item in found} == {
        ("lora", "full"),
        ("lora@both", "full"),
        ("lora@both", "lora"),
    }
    expected = multipletests([item.p_value for item in found], method="holm")[1]
    assert [item.p_adjusted for item in found] == pytest.approx(list(expected))


def test_comparisons_of_one_seed_claim_nothing_and_take_no_part_in_the_adjustment() -> None:
    one_seed: dict[Cell, Scores] = {Cell("reviews", "prompt", "full"): scores(answers(0.3, seeds=1, draw=9))}
    few, more = compared(many()), compared(many() | one_seed)
    assert [item.p_adjusted for item in more[:2]] == pytest.approx([item.p_adjusted for item in few])
    assert (more[2].outcome, more[2].p_adjusted) == ("single seed", None)
    assert more[2].difference.mean == pytest.approx(0.3, abs=0.01)


@pytest.mark.slow
def test_a_claim_needs_more_in_a_larger_family() -> None:
    few: dict[Cell, Scores] = {
        Cell("reviews", "full", "full"): scores(answers(0)),
        Cell("reviews", "lora", "full"): scores(answers(0.008, draw=1)),
    }
    same: dict[Cell, Scores] = {
        Cell("reviews", f"again-{place}", "full"): scores(answers(0, draw=place)) for place in range(2, 30)
    }
    alone, among_many = compared(few)[0], compared(few | same)[0]
    assert (alone.outcome, among_many.outcome) == ("better", "not distinguishable")
    assert among_many.p_value == pytest.approx(alone.p_value)


@pytest.mark.slow
def test_the_size_of_a_family_is_known_before_its_data() -> None:
    methods = ("zero_shot", "full", "lora", "prefix", "prompt")
    untrained = frozenset({"zero_shot"})
    cells: dict[Cell, Scores] = {
        Cell("reviews", method, "full"): scores(answers(0, seeds=1 if method in untrained else 3, draw=place))
        for place, method in enumerate(methods)
    }
    for references in (("full", "zero_shot"), ("full",), ("lora", "prompt"), ()):
        found = compared(cells, references=references)
        assert len(list(method_pairs(methods, references, untrained))) == len(found)


@pytest.mark.slow
def test_the_order_of_methods_changes_no_comparison() -> None:
    cells = many()
    by_name, turned = (
        {item.method: (item.p_adjusted, item.difference.mean) for item in compared(one_order)}
        for one_order in (cells, dict(reversed(cells.items())))
    )
    assert by_name.keys() == turned.keys()
    assert all(turned[name] == pytest.approx(values) for name, values in by_name.items())
