"""What is claimed of the loss on general text: against sums, a bootstrap, and known decisions."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tuneoff.stats import Cell, Scores, TaskSize, decide
from tuneoff.stats.forgetting import forgets_more, per_token
from tuneoff.stats.intervals import interval

Floats = NDArray[np.float64]
PLACE = TaskSize("reviews", "full")


def drawn(texts: int) -> tuple[Floats, Floats]:
    """Increases per token of texts of very different lengths, longer ones with larger increases."""
    random = np.random.default_rng(7)
    tokens = random.integers(5, 200, texts).astype(float)
    return 0.2 + 0.002 * tokens + 0.3 * random.standard_normal(texts), tokens


def test_the_mean_over_texts_is_the_mean_over_tokens() -> None:
    values, tokens = drawn(50)
    assert per_token(values, tokens).mean() == pytest.approx((values * tokens).sum() / tokens.sum())


def test_the_standard_error_is_that_of_a_bootstrap_of_texts() -> None:
    values, tokens = drawn(300)
    random = np.random.default_rng(8)
    samples = random.integers(0, len(values), (4000, len(values)))
    means = (values * tokens)[samples].sum(1) / tokens[samples].sum(1)
    found = interval(per_token(values, tokens)[None], limited=False)
    assert found.std_error == pytest.approx(means.std(), rel=0.06)


def test_an_interval_of_losses_between_0_and_1_is_not_cut_at_0() -> None:
    values = np.array([[0.01, 0.02, 0.9, 0.03]])
    assert interval(values, limited=False).low < 0 <= interval(values).low


SCORES = {"full": 0.80, "lora": 0.80, "prefix": 0.60}


def decision(margin: float, scores: dict[str, float] = SCORES, seeds: int = 4):
    random = np.random.default_rng(3)
    examples = 400
    difficulty = random.random(examples)
    answers = {
        name: Scores(
            tuple(range(seeds)),
            tuple(range(examples)),
            np.stack([(difficulty < mean).astype(float) for _ in range(seeds)]),
        )
        for name, mean in scores.items()
    }
    return decide(answers, untrained=(), margin=margin, prefer="score", prices=None, findings=None)


def increases(means: dict[str, float], *, seeds: int = 4, texts: int = 60) -> dict[Cell, Scores]:
    random = np.random.default_rng(4)
    shared = 0.5 * random.standard_normal(texts)
    return {
        Cell("reviews", name, "full"): Scores(
            tuple(range(seeds)),
            tuple(range(texts)),
            mean + shared + 0.01 * random.standard_normal((seeds, texts)),
        )
        for name, mean in means.items()
    }


def test_a_recommended_method_is_said_to_forget_more_than_one_that_is_as_good() -> None:
    found = decision(margin=0.05)
    assert found.recommended in ("full", "lora")
    other = "lora" if found.recommended == "full" else "full"
    cells = increases({str(found.recommended): 0.30, other: 0.10, "prefix": 0.0})
    ((one,),) = forgets_more({PLACE: found}, cells, frozenset()).values()
    assert (one.method, one.other) == (found.recommended, other)
    # paired by text: what texts have in common cancels
    assert one.difference.mean == pytest.approx(0.2, abs=0.01)
    assert one.difference.high - one.difference.low < 0.05


@pytest.mark.parametrize("less", [{"full": 0.1, "lora": 0.1}, {"full": -0.1, "lora": -0.1}])
def test_nothing_is_said_of_methods_that_forget_equally_much(less: dict[str, float]) -> None:
    cells = increases(less | {"prefix": 0.0})
    assert forgets_more({PLACE: decision(margin=0.05)}, cells, frozenset()) == {PLACE: ()}


def test_nothing_is_said_where_forgetting_was_not_measured() -> None:
    assert forgets_more({PLACE: decision(margin=0.05)}, {}, frozenset()) == {PLACE: ()}
