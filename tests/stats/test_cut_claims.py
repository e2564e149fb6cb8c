"""What is claimed of LoRA that is cut after training."""

from collections.abc import Mapping

import numpy as np
import pytest

from helpers import fabricated as made
from tuneoff.results import CutScore, RunRecord
from tuneoff.spec import expand
from tuneoff.stats import Cut
from tuneoff.stats.cuts import cut_curves
from tuneoff.stats.examples import RunScores

ROWS = 2000
WHOLE_BYTES = 4000
LORA = {"kind": "lora", "cuts": [0.25, 0.75, 0.5]}


def a_run(seed: int, keeps: tuple[float, ...]) -> RunRecord:
    study = made.a_study(methods={"lora": LORA}, seeds=list(range(seed + 1)))
    cuts = tuple(
        CutScore(keep=keep, stored=1, stored_bytes=int(keep * WHOLE_BYTES) - seed, ranks={"q": 1}, scores={})
        for keep in keeps
    )
    record = made.a_record(expand(study)[seed])
    assert record.footprint is not None
    footprint = record.footprint.model_copy(update={"stored_bytes": WHOLE_BYTES})
    return record.model_copy(update={"cuts": cuts, "footprint": footprint})


def answers(lost: float, seed: int) -> RunScores:
    """Right on 80% of the rows, but for a share that is lost, evenly over the rows."""
    right = np.arange(ROWS) % 5 < 4
    wrong = np.arange(ROWS) % 1000 < 1000 * lost
    return RunScores(np.arange(ROWS), (right & ~np.roll(wrong, seed)).astype(float))


def curve(
    losses: Mapping[float, float], seeds: int = 3, share: float = 1.0, margin: float = 0.05
) -> tuple[Cut, ...]:
    runs = [a_run(seed, tuple(losses)) for seed in range(seeds)]
    whole = {run.run_id: answers(0, 0) for run in runs}
    cuts = {run.run_id: {keep: answers(lost, run.spec.seed) for keep, lost in losses.items()} for run in runs}
    places = cut_curves(runs, whole, cuts, margin=margin, shares={})
    (cell,) = places
    return cut_curves(runs, whole, cuts, margin=margin, shares={cell: share})[cell]


def test_the_whole_comes_first_and_then_the_cuts_that_keep_most() -> None:
    found = curve({0.25: 0.3, 0.75: 0.0, 0.5: 0.01})
    assert [cut.keep for cut in found] == [1.0, 0.75, 0.5, 0.25]
    assert found[0].difference is None
    assert found[0].score.mean == pytest.approx(0.8)
    assert [cut.stored_bytes for cut in found] == pytest.approx([4000, 2999, 1999, 999])  # means of three


def test_a_difference_is_that_of_the_same_seeds_and_rows() -> None:
    cut = curve({0.5: 0.1})[1]
    lost = [answers(0, 0).values - answers(0.1, seed).values for seed in range(3)]
    assert cut.difference is not None
    assert cut.difference.mean == pytest.approx(-np.mean(lost))
    assert cut.difference.low < cut.difference.mean < cut.difference.high
    assert (cut.difference.seeds, cut.difference.examples) == (3, ROWS)


def test_a_cut_is_within_the_margin_where_its_interval_is() -> None:
    found = {cut.keep: cut for cut in curve({0.75: 0.0, 0.5: 0.01, 0.25: 0.3})}
    assert [found[keep].within_margin for keep in (0.75, 0.5, 0.25)] == [True, True, False]
    for keep in (0.75, 0.5, 0.25):
        gap = found[keep].difference
        assert gap is not None
        assert (gap.low > -0.05) == found[keep].within_margin


def test_nothing_is_claimed_of_a_cut_after_one_that_is_not_shown() -> None:
    found = {cut.keep: cut for cut in curve({0.75: 0.3, 0.5: 0.0})}
    gap = found[0.5].difference
    assert gap is not None and gap.low > -0.05
    assert not found[0.5].within_margin


def test_one_seed_claims_nothing() -> None:
    assert not curve({0.75: 0.0}, seeds=1)[1].within_margin


def test_a_look_of_a_race_has_its_share_of_the_error_alone() -> None:
    assert curve({0.75: 0.04})[1].within_margin
    assert not curve({0.75: 0.04}, share=1e-9)[1].within_margin


def test_a_cut_that_some_runs_lack_is_of_the_others() -> None:
    runs = [a_run(0, (0.5,)), a_run(1, (0.5, 0.25)), a_run(2, (0.5, 0.25))]
    whole = {run.run_id: answers(0, 0) for run in runs}
    cuts = {run.run_id: {cut.keep: answers(0, 0) for cut in run.cuts} for run in runs}
    (found,) = cut_curves(runs, whole, cuts, margin=0.05, shares={}).values()
    assert [(cut.keep, cut.score.seeds) for cut in found] == [(1.0, 3), (0.5, 3), (0.25, 2)]


def test_runs_without_cuts_have_no_curve() -> None:
    run = a_run(0, ())
    assert cut_curves([run], {run.run_id: answers(0, 0)}, {run.run_id: {}}, margin=0.05, shares={}) == {}
