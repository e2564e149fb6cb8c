"""The decision, against bounds by hand, exact probabilities, and simulated studies whose truth is known."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from tuneoff.spec import Preference
from tuneoff.stats import Scores, decide
from tuneoff.stats.compare import p_at_least
from tuneoff.stats.decide import Decision, Settling

Floats = NDArray[np.float64]
EXAMPLES = 150


def scores(values: Floats, *, seeds: tuple[int, ...] | None = None) -> Scores:
    runs, examples = values.shape
    return Scores(seeds or tuple(range(runs)), tuple(range(examples)), values)


def answers(
    random: np.random.Generator,
    means: Mapping[str, float],
    *,
    untrained: tuple[str, ...] = (),
    seeds: int = 5,
    examples: int = EXAMPLES,
    seed_sd: float = 0.03,
) -> dict[str, Scores]:
    """Right or wrong answers of true accuracies, by a latent normal."""
    shared = np.sqrt(0.8) * random.standard_normal((1, examples))
    found = {}
    for name, mean in means.items():
        runs = 1 if name in untrained else seeds
        of_seeds = 0 if name in untrained else seed_sd * random.standard_normal((runs, 1))
        noise = np.sqrt(0.1) * (
            random.standard_normal((1, examples)) + random.standard_normal((runs, examples))
        )
        level = ndtri(mean) * (1 if name in untrained else np.sqrt(1 + seed_sd**2))
        found[name] = scores((level + shared + of_seeds + noise > 0).astype(float))
    return found


MEANS = {"full": 0.80, "lora": 0.79, "prefix": 0.70, "prompt": 0.60, "zero_shot": 0.50, "tfidf": 0.78}
UNTRAINED = ("zero_shot", "tfidf")
STUDY = answers(np.random.default_rng(5), MEANS, untrained=UNTRAINED)


def decided(
    study: Mapping[str, Scores] = STUDY,
    *,
    margin: float = 0.01,
    prefer: Preference = "score",
    prices: Mapping[str, float | None] | None = None,
    findings: Mapping[str, tuple[str, ...]] | None = None,
    pooled: bool = True,
) -> Decision:
    return decide(
        study,
        untrained=UNTRAINED,
        margin=margin,
        prefer=prefer,
        prices=prices,
        findings=findings,
        pooled=pooled,
    )


def costs(found: Decision) -> dict[str, float | None]:
    return {one.name: one.costs_at_most for one in found.candidates}


# bounds, by hand


def test_bounds_of_models_without_seeds_are_students_on_pairs_of_examples_at_half_the_level() -> None:
    random = np.random.default_rng(1)
    # differences beyond 1, for which there is no exact test
    values = {"a": 0.0, "zero_shot": 1.0, "tfidf": -40.0}
    study = {name: scores(mean + 10 * random.standard_normal((1, 30))) for name, mean in values.items()}
    found = decide(study, untrained=tuple(study), margin=5)

    def bound(rival: str, name: str) -> float:
        test = stats.ttest_rel(study[rival].values[0], study[name].values[0], alternative="less")
        return float(test.confidence_interval(1 - 0.05 / 2).high)

    assert [one.may_be_best for one in found.candidates] == [True, True, False]
    assert found["a"].costs_at_most == pytest.approx(bound("zero_shot", "a"))
    assert found["zero_shot"].costs_at_most == pytest.approx(bound("a", "zero_shot"))
    # the largest over the rivals that may be best
    assert found["tfidf"].costs_at_most == pytest.approx(
        max(bound("a", "tfidf"), bound("zero_shot", "tfidf"))
    )


def test_bounds_of_trained_methods_that_differ_by_seed_alone_are_students_on_pairs_of_seeds() -> None:
    of_seeds = {
        "full": [4.0, 6.0, 5.0, 5.5],
        "lora": [5.0, 4.0, 4.5, 4.0],
        "prefix": [-9.0, -9.5, -9.0, -9.0],
    }
    study = {name: scores(np.tile(np.array(means)[:, None], 50)) for name, means in of_seeds.items()}
    found = decide(study, untrained=(), margin=5)
    test = stats.ttest_rel(of_seeds["full"], of_seeds["lora"], alternative="less")
    assert found["lora"].costs_at_most == pytest.approx(test.confidence_interval(1 - 0.05 / 2).high)
    assert not found["prefix"].may_be_best
    # a rival that is shown to be worse says nothing of what the best could cost
    test = stats.ttest_rel(of_seeds["lora"], of_seeds["full"], alternative="less")
    assert found["full"].costs_at_most == pytest.approx(max(0, test.confidence_interval(1 - 0.05 / 2).high))


def test_a_bound_is_where_the_test_of_comparisons_has_its_level() -> None:
    found = decided(pooled=False)
    level = 0.05 / 5
    for name in ("prefix", "tfidf"):
        limit = found[name].costs_at_most
        assert limit is not None
        rivals = [one.name for one in found.candidates if one.may_be_best and one.name != name]
        p_values = [p_at_least(STUDY[one].values - STUDY[name].values, limit) for one in rivals]
        assert max(p_values) == pytest.approx(level, rel=1e-3)


def test_a_candidate_is_no_longer_the_best_where_the_test_of_comparisons_shows_a_rival_to_be_better() -> None:
    found = decided(pooled=False)
    for one in found.candidates:
        p_values = [
            p_at_least(STUDY[one.name].values - STUDY[rival].values, 0.0, seeded=one.name not in UNTRAINED)
            for rival in STUDY
            if rival != one.name and not {rival, one.name} <= set(UNTRAINED)
        ]
        assert one.may_be_best == (min(p_values) >= 0.05 / 5)
    assert 1 < sum(one.may_be_best for one in found.candidates) < len(MEANS)


def test_a_rival_beats_a_candidate_where_the_test_of_comparisons_shows_it_among_all_pairs() -> None:
    found = decided(pooled=False)
    level = 0.05 / 15
    compared = 0
    for one in found.candidates:
        rivals = set(STUDY) - {one.name} - (set(UNTRAINED) if one.name in UNTRAINED else set())
        shown = set()
        for rival in rivals:
            differences = STUDY[one.name].values - STUDY[rival].values
            if p_at_least(differences, 0.0, seeded=one.name not in UNTRAINED) < level:
                shown.add(rival)
        assert one.beaten_by & rivals == shown
        compared += len(shown)
    assert compared > 5


def test_who_is_beaten_among_all_pairs_is_not_the_best() -> None:
    for findings in ({}, {"full": ("collapsed",)}):
        found = decided(findings=findings)
        for one in found.candidates:
            assert not (one.beaten_by and one.may_be_best)
            assert not one.beaten_by & findings.keys()
    assert decided(findings={"full": ("collapsed",)})["full"].beaten_by == frozenset()


@pytest.mark.slow
def test_statements_about_any_two_candidates_hold_together() -> None:
    """Of equal candidates any such statement is wrong: in 5% of 80 studies, and hardly in more than 10."""
    random = np.random.default_rng(11)
    wrong = 0
    for _ in range(80):
        study = answers(random, dict.fromkeys("abcd", 0.7), seeds=3, examples=60)
        found = decide(study, untrained=(), margin=0.01)
        wrong += any(one.beaten_by for one in found.candidates)
    assert wrong <= 10


PRICES = {"full": 9.0, "lora": 2.0, "prefix": 2.0, "prompt": 1.0, "zero_shot": 0.0, "tfidf": None}


def test_the_frontier_lacks_who_is_beaten_by_one_that_is_no_more_expensive() -> None:
    found = decided()
    expected = []
    for one in found.candidates:
        price = PRICES[one.name]
        if price is None:
            continue
        no_dearer = {rival for rival, other in PRICES.items() if other is not None and other <= price}
        if not one.beaten_by & no_dearer:
            expected.append(one.name)
    assert found.frontier(PRICES) == tuple(expected)
    assert {"full", "lora", "zero_shot"} <= set(expected)
    assert "prefix" not in expected  # lora stores as little and is shown to be better


def test_a_candidate_with_findings_is_not_on_the_frontier_and_pushes_nobody_off_it() -> None:
    found = decided(findings={"lora": ("collapsed",)})
    assert "lora" not in found.frontier(PRICES)
    assert "prefix" in found.frontier(PRICES)


def test_few_answers_that_differ_are_bounded_by_the_exact_sign_test() -> None:
    first, second = np.ones((1, 60)), np.ones((1, 60))
    second[0, :2] = 0
    found = decide({"a": scores(first), "b": scores(second)}, untrained=("a", "b"), margin=0.01)
    # no example speaks for b, so the true cost of a is that of none of 60 with the level .05
    limit = found["a"].costs_at_most
    assert limit is not None
    assert p_at_least(second - first, limit) == pytest.approx(0.05, rel=1e-3)
    assert limit > 0
    same = decide({"a": scores(first), "b": scores(first)}, untrained=("a", "b"), margin=0.01)
    assert same["a"].costs_at_most == pytest.approx(1 - 0.05 ** (1 / 60), abs=1e-6)


@pytest.mark.slow
def test_the_best_is_lost_as_often_as_the_normal_distribution_says() -> None:
    """Four equal candidates: three tests at .05 / 3 whose errors have correlation 1/2."""
    random = np.random.default_rng(1)
    lost, studies = 0, 800
    for _ in range(studies):
        study = {name: scores(10 * random.standard_normal((1, 200))) for name in "abcd"}
        lost += not decide(study, untrained=tuple("abcd"), margin=1)["a"].may_be_best
    normal = stats.multivariate_normal(cov=0.5 + 0.5 * np.eye(3))
    expected = 1 - normal.cdf(np.full(3, -ndtri(0.05 / 3)))
    assert lost / studies == pytest.approx(expected, abs=3 * np.sqrt(0.05 * 0.95 / studies))


@pytest.mark.slow
@pytest.mark.parametrize("spread_of_means", [0.0, 0.05])
def test_claims_of_simulated_studies_are_wrong_as_rarely_as_promised(spread_of_means: float) -> None:
    random = np.random.default_rng(2)
    studies, wrong_bounds, lost, wrong = 80, 0, 0, 0
    for _ in range(studies):
        means = dict(zip("abcd", 0.75 + spread_of_means * random.standard_normal(4), strict=True))
        study = answers(random, means, seeds=3, examples=60, seed_sd=0.05)
        found = decide(study, untrained=(), margin=0.1)
        best = max(means, key=lambda name: means[name])
        regret = {name: means[best] - mean for name, mean in means.items()}
        lost += not found[best].may_be_best
        wrong_bounds += any((one.costs_at_most or 0) < regret[one.name] for one in found.candidates)
        assert found.recommended is not None
        wrong += found.state == "shown" and regret[found.recommended] > 0.1
    most = studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95)
    assert max(wrong_bounds, lost, wrong) <= most


# what must not change a decision, and what must


def test_the_order_of_candidates_changes_nothing() -> None:
    found = decided(prefer="stored", prices={"full": 9, "lora": 2})
    turned = decided(dict(reversed(STUDY.items())), prefer="stored", prices={"lora": 2, "full": 9})
    assert dataclasses.replace(turned, candidates=turned.candidates[::-1]) == found


def test_the_order_of_seeds_and_examples_changes_nothing() -> None:
    found = costs(decided())
    shuffled = {
        name: Scores(one.seeds[::-1], one.rows[::-1], one.values[::-1, ::-1]) for name, one in STUDY.items()
    }
    assert costs(decided(shuffled)) == pytest.approx(found)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(draw=st.integers(0, 10_000), gain=st.floats(0.001, 0.3), name=st.sampled_from(["lora", "tfidf"]))
def test_a_candidate_that_is_better_everywhere_never_costs_more(draw: int, gain: float, name: str) -> None:
    random = np.random.default_rng(draw)
    means = {"full": 0.8, "lora": 0.75, "tfidf": 0.78}
    study = answers(random, means, untrained=UNTRAINED, seeds=3, examples=80)
    study = {one: scores(0.3 + 0.2 * found.values) for one, found in study.items()}
    better = study | {name: scores(study[name].values + gain)}
    before, after = decided(study), decided(better)
    assert (after[name].costs_at_most or 0) <= (before[name].costs_at_most or 0) + 1e-9
    assert after[name].may_be_best >= before[name].may_be_best


@pytest.mark.slow
def test_a_larger_margin_never_opens_a_decision_or_raises_the_price() -> None:
    prices = dict(zip(STUDY, [60.0, 50.0, 40.0, 30.0, 20.0, 45.0], strict=True))
    shown = [
        decided(margin=margin, prefer="stored", prices=prices) for margin in (0.01, 0.075, 0.1, 0.25, 0.5)
    ]
    states = [one.state for one in shown]
    assert states == sorted(states)  # open, then shown
    assert {"open", "shown"} == set(states)
    paid = [prices[one.recommended] for one in shown if one.state == "shown" and one.recommended]
    assert paid == sorted(paid, reverse=True)
    assert len(set(paid)) > 2


def test_a_smaller_share_of_the_error_widens_every_bound() -> None:
    usual = decided()
    strict = decide(STUDY, untrained=UNTRAINED, margin=0.01, alpha=0.004)
    for one in usual.candidates:
        assert (strict[one.name].costs_at_most or 0) > (one.costs_at_most or 0)
        assert strict[one.name].may_be_best >= one.may_be_best


# what is recommended


@pytest.mark.slow
def test_the_cheapest_within_the_margin_is_recommended_and_one_without_a_price_comes_last() -> None:
    wide = 0.25
    assert [name for name, cost in costs(decided()).items() if cost is not None and cost <= wide] == [
        "full",
        "lora",
        "prefix",
        "tfidf",
    ]
    assert decided(margin=wide).recommended == max(STUDY, key=lambda name: STUDY[name].values.mean())
    prices = {"full": 9.0, "lora": 2.0, "prompt": 0.1, "zero_shot": 0.0, "prefix": None}
    assert decided(margin=wide, prefer="time", prices=prices).recommended == "lora"
    assert decided(margin=wide, prefer="time", prices=prices | {"tfidf": 1.0}).recommended == "tfidf"
    assert decided(margin=wide, prefer="memory", prices={}).state == "shown"


def test_the_best_mean_is_recommended_while_the_decision_is_open() -> None:
    found = decided(margin=0.001, prefer="stored", prices={"prompt": 0.0})
    assert found.state == "open"
    assert found.recommended == max(STUDY, key=lambda name: STUDY[name].values.mean())
    assert found.to_settle is not None


def test_ties_go_to_the_better_mean_and_then_to_the_first_name() -> None:
    same = scores(np.repeat([[1.0, 0.0]], 200, axis=1))
    found = decide({"b": same, "a": same, "c": same}, untrained="abc", margin=0.05, prefer="stored")
    assert (found.recommended, found.state) == ("a", "shown")
    assert len({one.costs_at_most for one in found.candidates}) == 1
    assert all(one.may_be_best for one in found.candidates)


def test_a_single_candidate_is_the_best_one_there_is() -> None:
    for name in ("full", "tfidf"):
        found = decided({name: STUDY[name]})
        assert (found.recommended, found.state, found.to_settle) == (name, "shown", None)
        assert found[name].costs_at_most == 0
        assert found[name].expected_regret == 0


def test_a_candidate_with_findings_is_neither_recommended_nor_a_rival() -> None:
    leader = max(STUDY, key=lambda name: STUDY[name].values.mean())
    found = decided(findings={leader: ("collapsed",), "prompt": ()})
    assert found.recommended not in (leader, None)
    assert found[leader].findings == ("collapsed",)
    assert found["prompt"].findings == ()
    # it is judged against the others, and others are not judged against it
    for one in decided().candidates:
        if one.name != leader:
            assert (found[one.name].costs_at_most or 0) <= (one.costs_at_most or 0)
    assert found[leader].costs_at_most is not None


def test_nothing_is_recommended_where_all_have_findings() -> None:
    found = decided(findings=dict.fromkeys(STUDY, ("collapsed",)))
    assert (found.recommended, found.state, found.to_settle) == (None, "open", None)
    assert set(costs(found).values()) == {None}


# seeds


def test_a_trained_method_with_one_seed_may_be_anything() -> None:
    one_seed = {name: scores(STUDY[name].values[:1]) for name in STUDY}
    found = decided(one_seed, margin=0.5)
    assert found.state == "open"
    assert set(costs(found).values()) == {None}
    assert found.to_settle == Settling(None, "single seed")
    assert found["full"].expected_regret is None
    # what is untrained needs no seeds
    untrained = {name: STUDY[name] for name in UNTRAINED}
    assert decided(untrained, margin=0.5).state == "shown"


def test_methods_without_common_seeds_or_examples_are_not_compared() -> None:
    full, lora = STUDY["full"], STUDY["lora"]
    other_seeds = Scores((10, 11, 12, 13, 14), lora.rows, lora.values)
    other_rows = Scores(lora.seeds, tuple(row + 1000 for row in lora.rows), lora.values)
    for other in (other_seeds, other_rows):
        found = decided({"full": full, "lora": other}, margin=0.5)
        assert (found.state, found.to_settle) == ("open", Settling(None, "single seed"))
        assert costs(found) == {"full": None, "lora": None}
        assert found["full"].may_be_best
        assert found["lora"].may_be_best


def test_a_method_with_one_seed_does_not_make_other_claims_harder() -> None:
    pair = {name: STUDY[name] for name in ("prompt", "tfidf")}
    alone = decided(pair)
    joined = decided(pair | {"lora": scores(STUDY["lora"].values[:1])})
    assert joined["prompt"].may_be_best == alone["prompt"].may_be_best is False
    assert joined["prompt"].costs_at_most is None


def test_methods_are_tested_on_the_seeds_that_they_share() -> None:
    fewer = STUDY | {"prompt": scores(STUDY["prompt"].values[:3])}
    found = decided(fewer, pooled=False)
    assert found["full"] == dataclasses.replace(
        decided(pooled=False)["full"], expected_regret=found["full"].expected_regret
    )
    assert not found["prompt"].may_be_best


@pytest.mark.slow
def test_pooled_variances_show_more_with_three_seeds_and_leave_a_noisy_method_alone() -> None:
    random = np.random.default_rng(3)
    study = answers(random, MEANS, untrained=UNTRAINED, seeds=3, examples=1000)
    pooled, own = decided(study), decided(study, pooled=False)
    assert sum(one.may_be_best for one in pooled.candidates) < sum(one.may_be_best for one in own.candidates)
    # two seeds or three methods are too few
    few = {name: one for name, one in study.items() if name != "prompt"}
    assert decided(few) == decided(few, pooled=False)
    two = {name: one if name in UNTRAINED else scores(one.values[:2]) for name, one in study.items()}
    assert decided(two) == decided(two, pooled=False)
    # a noisy method has a variance far above the median, which does not shrink
    noisy = study | {"lora": answers(random, {"lora": 0.79}, seeds=3, examples=1000, seed_sd=0.6)["lora"]}
    wide = decided(noisy)["lora"].costs_at_most
    assert wide is not None
    assert wide > 2 * (pooled["lora"].costs_at_most or 1)


# what it would take


def test_more_seeds_settle_what_seeds_leave_open() -> None:
    random = np.random.default_rng(7)
    means = {"full": 0.80, "lora": 0.77, "prefix": 0.70, "prompt": 0.70}
    study = answers(random, means, seeds=40, examples=2000, seed_sd=0.12)
    three = {name: scores(one.values[:3]) for name, one in study.items()}
    found = decide(three, untrained=(), margin=0.03)
    assert found.state == "open"
    assert found.to_settle is not None
    assert found.to_settle.limit is None
    seeds = found.to_settle.seeds
    assert seeds is not None
    assert 1 <= seeds <= 37
    enough = {name: scores(one.values[: 3 + seeds]) for name, one in study.items()}
    assert decide(enough, untrained=(), margin=0.03).state == "shown"


def test_no_seeds_settle_what_the_test_set_leaves_open() -> None:
    random = np.random.default_rng(8)
    study = answers(random, dict.fromkeys("abcd", 0.75), seeds=5, examples=60)
    assert decide(study, untrained=(), margin=0.01).to_settle == Settling(None, "test set")
    untrained = {name: scores(one.values[:1]) for name, one in study.items()}
    assert decide(untrained, untrained="abcd", margin=0.01).to_settle == Settling(None, "test set")


def test_more_seeds_than_anyone_has_are_said_to_be_too_many() -> None:
    of_seeds = {"full": [0.3, 0.5, 0.7], "lora": [0.7, 0.5, 0.35]}
    study = {name: scores(np.tile(np.array(means)[:, None], 400)) for name, means in of_seeds.items()}
    assert decide(study, untrained=(), margin=0.03).to_settle == Settling(None, "seeds")


# expected regret


def test_the_expected_regret_of_two_candidates_is_that_of_a_normal_difference() -> None:
    random = np.random.default_rng(4)
    study = {name: scores(0.5 + 0.1 * random.standard_normal((1, 400))) for name in ("a", "b")}
    difference = (study["a"].values - study["b"].values)[0]
    mean, error = difference.mean(), difference.std(ddof=1) / 20
    expected = error * stats.norm.pdf(mean / error) + mean * stats.norm.cdf(mean / error)
    found = decide(study, untrained=("a", "b"), margin=0.01)
    assert found["b"].expected_regret == pytest.approx(expected, rel=0.06)


def test_with_many_seeds_the_expected_regret_has_the_crossed_variance() -> None:
    random = np.random.default_rng(6)
    shape = 40, 300
    study = {
        name: scores(
            0.5
            + 0.02 * random.standard_normal((40, 1))
            + 0.1 * random.standard_normal((1, 300))
            + 0.1 * random.standard_normal(shape)
        )
        for name in ("a", "b")
    }
    mean = study["a"].values.mean() - study["b"].values.mean()
    error = np.sqrt(2 * (0.02**2 / 40 + 0.1**2 / 300 + 0.1**2 / 12000))
    expected = error * stats.norm.pdf(mean / error) + mean * stats.norm.cdf(mean / error)
    assert decide(study, untrained=(), margin=0.01)["b"].expected_regret == pytest.approx(expected, rel=0.25)


# what is refused


@pytest.mark.parametrize("wrong", [{"margin": 0.0}, {"margin": -0.1}, {"prefer": "beauty"}, {"study": {}}])
def test_a_decision_needs_a_candidate_a_margin_and_a_known_preference(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must hold, got"):
        decided(**wrong)  # type: ignore[arg-type]
