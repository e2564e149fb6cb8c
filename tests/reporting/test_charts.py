import json
import math
from functools import partial
from itertools import pairwise

import altair
import numpy as np
import pandas as pd
import pytest

from helpers import fabricated as made
from tuneoff.reporting import charts
from tuneoff.reporting.charts.curves import MOST_POINTS, TRAIN_LOSS
from tuneoff.reporting.charts.draw import picture_of
from tuneoff.reporting.charts.labels import Box, place_labels
from tuneoff.reporting.charts.pictures import readable
from tuneoff.reporting.charts.style import STYLE, View, padded
from tuneoff.reporting.decision import price_in_words
from tuneoff.reporting.figures import Drawing, named_apart
from tuneoff.results import CurvePoint, SearchResult, Trial
from tuneoff.spec import RunSpec, expand
from tuneoff.stats import Comparison, Interval, Scores, decide, frame, interval
from tuneoff.stats.decide import Decision

STUDY = made.a_study(
    train_sizes=[100, "full"], ablations={"rank": {"of": "lora", "vary": {"rank": [16, 1, 8]}}}
)
RUNS = frame(map(made.a_record, expand(STUDY)))


def a_run(method: str = "prefix", seed: int = 0) -> RunSpec:
    return made.by_name(STUDY)["sst2", method, "full", seed]


def assert_drawn(chart: View) -> None:
    """The chart follows Vega-Lite's schema, which drawing does not ask for, and can be drawn."""
    altair.Chart.from_dict(json.loads(json.dumps(chart)), validate=True)
    # in this process, where the renderer starts once for all tests
    _, png = picture_of(readable({**chart, "config": STYLE}))
    assert png.startswith(b"\x89PNG")


def test_curves_have_a_row_per_panel_and_step_that_has_a_value() -> None:
    record = made.a_record(a_run(), best_step=20)
    points = [
        CurvePoint(step=10, loss=2.0),
        CurvePoint(step=20, loss=None, scores={"eval_loss": 1.5, "eval_accuracy": 0.8}),
        CurvePoint(step=30, loss=1.0, scores={"eval_loss": 1.25}),
    ]
    data = charts.curve_data([record], {record.run_id: points})
    assert list(data.itertuples(index=False, name=None)) == [
        ("prefix", "seed 0", TRAIN_LOSS, 10, 2.0, False),
        ("prefix", "seed 0", TRAIN_LOSS, 30, 1.0, False),
        ("prefix", "seed 0", "validation loss (nats per token)", 20, 1.5, True),
        ("prefix", "seed 0", "validation loss (nats per token)", 30, 1.25, False),
        ("prefix", "seed 0", "validation accuracy (fraction)", 20, 0.8, True),
    ]


def test_many_train_losses_are_averaged_in_equal_groups() -> None:
    record = made.a_record(a_run())
    points = [CurvePoint(step=step, loss=float(step)) for step in range(1, 2 * MOST_POINTS + 1)]
    data = charts.curve_data([record], {record.run_id: points})
    assert len(data) == MOST_POINTS
    assert list(data["step"][:2]) == [2, 4]
    assert list(data["value"][:2]) == [1.5, 3.5]


def test_values_that_are_not_finite_are_not_drawn() -> None:
    record = made.a_record(a_run())
    wild = [CurvePoint.model_construct(step=step, loss=loss) for step, loss in ((1, math.inf), (2, math.nan))]
    assert charts.curve_data([record], {record.run_id: wild}).empty


def test_a_run_that_is_not_complete_is_labelled_with_its_state() -> None:
    record = made.a_failure(a_run(seed=2), state="out_of_memory")
    data = charts.curve_data([record], {record.run_id: [CurvePoint(step=1, loss=1.0)]})
    assert set(data["run"]) == {"seed 2 (out of memory)"}


def test_an_ablation_has_its_variants_in_its_own_order_with_mean_and_spread() -> None:
    labels = {"lora-rank=16": "sixteen", "lora-rank=1": "one", "lora": "eight"}
    data = charts.ablation_data(RUNS, task="sst2", metric="eval_accuracy", labels=labels)
    full = data[data["train_size"] == "full"]
    assert list(dict.fromkeys(full["variant"])) == ["sixteen", "one", "eight"]
    one = full[full["variant"] == "one"]
    a, b, c = one["score"]
    mean = (a + b + c) / 3
    spread = math.sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 2)
    assert list(one["seed"]) == ["seed 0", "seed 1", "seed 2"]
    assert one["mean"].iloc[0] == pytest.approx(mean)
    assert one["high"].iloc[0] - one["mean"].iloc[0] == pytest.approx(spread)


def a_decision() -> Decision:
    """Two clear losers, one of which failed a check, and two that may be best; 4 seeds, 400 examples."""
    random = np.random.default_rng(3)
    shared = random.random((1, 400))

    def answers(mean: float, seeds: int = 4) -> Scores:
        right = (shared + random.normal(0, 0.05, (seeds, 400)) < mean).astype(float)
        return Scores(tuple(range(seeds)), tuple(range(400)), right)

    means = {"full": 0.9, "lora": 0.89, "prompt": 0.4, "prefix": 0.3}
    scores = {name: answers(mean) for name, mean in means.items()} | {"baseline tfidf": answers(0.5, 1)}
    return decide(scores, untrained=("baseline tfidf",), margin=0.05, findings={"prefix": ("collapsed",)})


def test_candidates_are_drawn_in_the_order_of_their_means_with_interval_price_and_look() -> None:
    decision = a_decision()
    prices = {"full": 4e6, "lora": 2e4, "prompt": None, "prefix": 1e4, "baseline tfidf": 0.0}
    data = charts.candidates_data(
        decision,
        trained=["full", "lora", "prompt", "prefix"],
        prices=prices,
        price_text=partial(price_in_words, "stored_bytes"),
    )
    rows = {row.name: row for row in data.itertuples(index=False)}
    assert list(data["mean"]) == sorted(data["mean"], reverse=True)
    assert {name: (row.low, row.high) for name, row in rows.items()} == {
        one.name: (one.interval.low, one.interval.high) for one in decision.candidates
    }
    looks = {name: row.look for name, row in rows.items()}
    expected = {"prompt": "trained", "prefix": "failed", "baseline tfidf": "untrained"}
    recommended = decision.recommended
    assert recommended in ("full", "lora")
    other = "lora" if recommended == "full" else "full"
    assert looks == expected | {recommended: "recommended", other: "trained"}
    costs = {name: row.cost for name, row in rows.items()}
    assert (costs["full"], costs["prompt"], costs["baseline tfidf"]) == ("4 MB", "\N{EN DASH}", "0")
    assert math.isnan(rows["prompt"].price) and math.isnan(rows["baseline tfidf"].price)


@pytest.mark.slow
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("price", [{}, {"full": 4e6, "lora": 2e4, "baseline tfidf": 0.0}])
def test_a_decision_is_drawn(price: dict[str, float], *, narrow: bool) -> None:
    data = charts.candidates_data(a_decision(), trained=["full"], prices=price, price_text=str)
    assert_drawn(
        charts.draw_candidates(
            data, title="t", metric="eval_accuracy", price="stored bytes", margin=0.01, narrow=narrow
        )
    )


def test_a_candidate_without_a_price_is_not_on_the_frontier() -> None:
    decision = a_decision()
    prices = {"full": 4e6, "lora": 2e4, "prompt": 1e4, "prefix": 5e3, "baseline tfidf": None}
    data = charts.frontier_data(decision, prices)
    looks = dict(zip(data["name"], data["look"], strict=True))
    assert looks.pop(decision.recommended) == "recommended"
    assert "baseline tfidf" not in looks
    assert looks["prefix"] == "failed a check"
    assert looks["prompt"] == "no cheaper one beats it"  # nothing else is as cheap
    dear = charts.frontier_data(decision, prices | {"prompt": 2e4})
    assert dict(zip(dear["name"], dear["look"], strict=True))["prompt"] == "beaten by a cheaper one"


@pytest.mark.slow
@pytest.mark.parametrize(
    "prices",
    [
        {"full": 3.0},
        {"full": 4e6, "lora": 2e4, "prompt": 1e4, "prefix": 1e4, "baseline tfidf": 0.0},
    ],
)
def test_a_frontier_is_drawn(prices: dict[str, float]) -> None:
    data = charts.frontier_data(a_decision(), prices)
    for price, narrow in (("stored_bytes", False), ("seconds_per_answer", True)):
        assert_drawn(charts.draw_frontier(data, title="t", metric="eval_rougeL", price=price, narrow=narrow))


@pytest.mark.parametrize("prices", [(0.0568, 0.0628), (1e4, 8e7), (3.0,), (15.0, 90.0)])
def test_a_price_axis_has_several_ticks(prices: tuple[float, ...]) -> None:
    rows = [(f"m{price}", price, 0.5, 0.4, 0.6, "leads", "") for price in prices]
    data = pd.DataFrame(rows, columns=["name", "price", "mean", "low", "high", "look", "score"])
    chart = charts.draw_frontier(data, title="t", metric="eval_f1", price="seconds_per_answer")
    x = chart["layer"][-1]["encoding"]["x"]
    low, high = x["scale"]["domain"]
    ticks = x["axis"]["values"]
    assert 3 <= len(ticks) <= 12
    assert ticks == sorted(ticks) and low <= ticks[0] and ticks[-1] <= high


def test_labels_of_lines_that_are_close_stay_apart() -> None:
    decision = a_decision()
    free = {"full": 1.0} | dict.fromkeys(("lora", "prompt", "prefix", "baseline tfidf"), 0.0)
    chart = charts.draw_frontier(
        charts.frontier_data(decision, free), title="t", metric="eval_accuracy", price="stored_bytes"
    )
    lines = chart["layer"][0]["data"]["values"]
    low, high = chart["layer"][-1]["encoding"]["y"]["scale"]["domain"]
    heights = sorted((one["label_y"] - low) / (high - low) * chart["height"] for one in lines)
    assert len(heights) == 4
    assert min(b - a for a, b in pairwise(heights)) >= 13.9


def test_no_line_of_a_narrow_frontier_goes_through_a_label() -> None:
    for means in ([0.5, 0.655, 0.662], [0.6, 0.602, 0.604, 0.606], [0.3, 0.31, 0.5], [0.7]):
        rows = [(f"free {i}", 0.0, mean, mean - 0.05, mean + 0.05) for i, mean in enumerate(means)]
        rows.append(("tuned", 1e6, 0.75, 0.7, 0.8))
        data = pd.DataFrame(rows, columns=["name", "price", "mean", "low", "high"])
        data = data.assign(look="leads", score="")
        chart = charts.draw_frontier(data, title="t", metric="eval_f1", price="stored_bytes", narrow=True)
        lines = chart["layer"][0]["data"]["values"]
        low, high = chart["layer"][-1]["encoding"]["y"]["scale"]["domain"]
        unit = chart["height"] / (high - low)
        labels = [one["label_y"] * unit for one in lines]
        assert labels == sorted(labels)  # in the order of their lines
        assert all(b - a >= 13.9 for a, b in pairwise(labels))
        assert all(abs(label - one["mean"] * unit) >= 6.9 for label in labels for one in lines)
        assert low * unit + 7 < labels[0] and labels[-1] < high * unit - 7


def a_comparison(method: str, low: float, high: float, outcome: str) -> Comparison:
    difference = Interval((low + high) / 2, low, high, 0.01, 2, 0.01, 0.01, 3, 100)
    return Comparison(
        task="sst2",
        train_size="full",
        method=method,
        reference="full",
        metric="eval_accuracy",
        difference=difference,
        p_value=0.5,
        p_adjusted=0.5,
        effect_size=None,
        sign_flip_p=None,
        p_noninferiority=None,
        p_noninferiority_adjusted=None,
        p_equivalence=None,
        p_equivalence_adjusted=None,
        outcome=outcome,
    )


@pytest.mark.slow
def test_a_forest_has_its_largest_difference_first_and_is_drawn() -> None:
    found = [a_comparison("lora", -0.2, -0.1, "worse"), a_comparison("prefix", 0.1, 0.3, "better")]
    data = charts.forest_data(found)
    assert list(data["method"]) == ["prefix", "lora"]
    assert list(data["text"]) == ["+0.200 (+0.100 to +0.300)", "-0.150 (-0.200 to -0.100)"]
    for margin in (None, 0.05):
        for narrow in (False, True):
            chart = charts.draw_forest(
                data, title="t", metric="eval_rougeL", reference="full", margin=margin, narrow=narrow
            )
            assert_drawn(chart)


def test_train_sizes_are_drawn_at_the_number_of_rows_used() -> None:
    band = interval(np.array([[0.8, 0.9, 1.0], [0.7, 0.9, 1.0]]))
    data = charts.sizes_data(
        RUNS,
        task="sst2",
        metric="eval_accuracy",
        methods=["lora"],
        untrained=frozenset({"zero_shot"}),
        intervals={("sst2", "lora", 100): band},
    )
    assert sorted(set(data["rows"])) == [100, 6920]
    assert len(data) == 6
    few, all_rows = data[data["rows"] == 100], data[data["rows"] == 6920]
    assert set(zip(few["bottom"], few["top"], strict=True)) == {(band.low, band.high)}
    assert (all_rows["bottom"] == all_rows["mean"]).all()
    assert (all_rows["top"] == all_rows["mean"]).all()


@pytest.mark.slow
def test_a_search_is_drawn_with_every_scored_trial_and_the_chosen_one_marked() -> None:
    trials = tuple(
        Trial(number=n, values={"learning_rate": 10.0**-n}, state="complete", score=score, eval_loss=1.0)
        for n, score in enumerate((0.5, 0.9, 0.7))
    )
    gone = Trial(number=3, values={"learning_rate": 2.0}, state="diverged")
    result = SearchResult(
        search_id="x",
        task_name="sst2",
        method_name="lora",
        train_size="full",
        metric="eval_accuracy",
        space={"learning_rate": (1e-5, 2.0, "log")},
        seeds=(1000,),
        steps=10,
        trials=(*trials, gone),
    )
    data = charts.search_data([result], field="learning_rate")
    assert data["value"].tolist() == pytest.approx([0.01, 0.1, 1.0])
    assert data["score"].tolist() == [0.7, 0.9, 0.5]
    assert data["chosen"].tolist() == [False, True, False]
    chart = charts.draw_search(data, field="learning_rate", log=True, title="s", metric="eval_accuracy")
    assert_drawn(chart)
    # a browser warns of a scale that is logarithmic and says whether it has a zero
    assert chart["vconcat"][0]["encoding"]["x"]["scale"] == {"type": "log", "nice": False, "padding": 18}

    halved = [
        one.model_copy(update={"rung_scores": (one.score / 2,), "state": "pruned", "score": None})
        for one in trials
        if one.score != 0.9
    ]
    whole = trials[1].model_copy(update={"rung_scores": (0.45, 0.9)})
    by_halving = result.model_copy(update={"trials": (*halved, whole), "rungs": (2, 10)})
    at_first_rung = charts.search_data([by_halving], field="learning_rate")
    assert at_first_rung["score"].tolist() == [0.35, 0.45, 0.25]
    assert at_first_rung["chosen"].tolist() == [False, True, False]


@pytest.mark.slow
def test_charts_of_a_single_run_are_drawn() -> None:
    run = a_run("lora")
    runs = frame([made.a_record(run)])
    arguments = {"task": "sst2", "metric": "eval_accuracy"}
    pictures = [
        charts.draw_ablation(
            charts.ablation_data(runs, **arguments, labels={"lora": "lora"}),
            title="a",
            metric="eval_accuracy",
        ),
        charts.draw_sizes(
            charts.sizes_data(runs, **arguments, methods=["lora"], untrained=frozenset(), intervals={}),
            title="s",
            metric="eval_accuracy",
        ),
        charts.draw_curves(
            charts.curve_data([made.a_record(run)], {run.run_id: [CurvePoint(step=1, loss=1.0)]}),
            title="c",
            metric="eval_accuracy",
        ),
        charts.draw_curve_panel(
            charts.curve_data([made.a_record(run)], {run.run_id: [CurvePoint(step=1, loss=1.0)]}),
            ["lora"],
            title=TRAIN_LOSS,
            live=True,
        ),
    ]
    for picture in pictures:
        assert_drawn(picture)


def test_labels_keep_off_each_other_and_inside_the_frame() -> None:
    points = [(100.0, 100.0), (104.0, 108.0), (108.0, 96.0), (290.0, 190.0)]
    frame_box = Box(0, 0, 300, 200)
    labels = place_labels(points, ["first", "second", "third", "at the edge"], obstacles=[], frame=frame_box)
    boxes = [label.box for label in labels]
    assert [a.overlap(b) for i, a in enumerate(boxes) for b in boxes[:i]] == [0.0] * 6
    assert all(box.left >= 0 and box.top >= 0 and box.right <= 300 and box.bottom <= 200 for box in boxes)


def test_figure_names_are_safe_and_distinct_even_where_case_is_ignored() -> None:
    stems = ["curve-a-b=1+2", "curve-a-b-1-2", "curve-A-b-1-2", "x/../y:<z>"]
    named = named_apart(Drawing(stem, stem, {}) for stem in stems)
    assert [drawing.stem for drawing in named] == [
        "curve-a-b-1-2",
        "curve-a-b-1-2-2",
        "curve-A-b-1-2-3",
        "x-..-y-z",
    ]


@pytest.mark.parametrize(
    ("values", "low"), [([6.0, 0.4, 0.5], 0.0), ([0.5, 0.6], 0.488), ([0.0], 0.0), ([-1.0, 1.0], -1.24)]
)
def test_an_axis_goes_below_zero_only_where_a_value_does(values: list[float], low: float) -> None:
    assert padded(values)[0] == pytest.approx(low)
    assert padded(values)[1] > max(values)
