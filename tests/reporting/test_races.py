"""What a report says of a race: how far it is, why it ended, and which methods were dropped."""

from pathlib import Path
from typing import Any

import pytest

from helpers import fabricated as made
from helpers.answers import write_all, write_baseline
from helpers.command_line import tuneoff
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.decision import decision_json, decision_statements, race_statements
from tuneoff.reporting.races import race_note, race_sentence
from tuneoff.reporting.sections import progress
from tuneoff.results import read_records
from tuneoff.spec import SeedRange, expand
from tuneoff.stats import Cell, Comparison, Course, Dropped, End, Look

METHODS = {name: made.METHODS[name] for name in ("zero_shot", "full", "lora", "prefix")}
RACE = {"from": 3, "to": 12}
ACCURACIES = {"zero_shot": 0.5, "full": 0.852, "lora": 0.85, "prefix": 0.7}


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("shown", "the race ended after 5 seeds: the decision is shown."),
        ("futile", "the race ended after 5 seeds: 12 seeds would hardly show it (probability below 5%)."),
        ("no method", "the race ended after 5 seeds: every method was dropped."),
        ("all seeds", "the race ended after 5 seeds: no further seeds are allowed."),
        (
            "budget",
            "the race ended after 5 seeds: those of the next look would exceed the budget of 2.5 hours.",
        ),
        (None, "the race goes on after 5 seeds, up to 8 with full."),
    ],
)
def test_a_sentence_says_how_a_race_stands(end: End | None, expected: str) -> None:
    study = made.a_study(methods=METHODS, seeds=RACE, budget={"hours": 2.5})
    seeds = {"full": 8 if end is None else 5, "lora": 3}
    course = Course(seeds, look=Look(5, 0.01), dropped={"lora": Dropped(3, "behind")}, end=end)
    dropped = " lora was dropped after 3 seeds (it is worse than the leader by more than the margin)."
    assert race_sentence(study, course) == expected + dropped


def test_a_race_before_its_first_look_says_so() -> None:
    study = made.a_study(methods=METHODS, seeds=RACE)
    sentence = race_sentence(study, Course({"full": 3, "lora": 3}))
    assert sentence == "the race has not reached its first look, with 3 seeds of every method."


def test_the_note_has_the_looks_and_their_levels() -> None:
    note = race_note(SeedRange.model_validate(RACE))
    assert (
        "3, 5, 8 and 12 seeds, with the levels 0.0054, 0.0089, 0.014 and 0.021, which add up to 0.05" in note
    )


def _folder(folder: Path, seeds: int, **changes: Any) -> Path:
    """A race with the results of the first seeds of every method."""
    study = made.a_study(methods=METHODS, seeds=RACE, **changes)
    made.write_folder(
        folder, study, records=[made.a_record(run) for run in expand(study) if run.seed < seeds]
    )
    write_all(folder, read_records(folder), ACCURACIES)
    write_baseline(folder, study, "sst2", "majority", 0.5)
    return folder


@pytest.fixture(scope="module")
def at_first_look(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _folder(tmp_path_factory.mktemp("first"), 3)


def test_a_method_that_is_behind_is_dropped_and_its_runs_are_not_awaited(at_first_look: Path) -> None:
    data = load_report_data(at_first_look)
    assert progress(data) == "10 of 14 runs are complete; 4 not run yet."
    (statement,) = race_statements(data)
    assert statement.text == (
        "sst2: the race goes on after 3 seeds, up to 5 with full and lora. "
        "prefix was dropped after 3 seeds (it is worse than the leader by more than the margin)."
    )
    (decision,) = decision_statements(data)
    assert decision.text.endswith("Next: complete the race (`tuneoff run` again).")
    own = decision_json(data)["sst2"]["full"]
    assert own["look"] == {"seeds": 3, "alpha": pytest.approx(0.05 * 3 / 28)}
    assert own["race"]["ended"] is None
    assert own["race"]["seeds"] == {"full": 5, "lora": 5, "prefix": 3}
    assert own["race"]["dropped"] == {"prefix": {"seeds": 3, "reason": "behind"}}
    assert tuneoff("status", at_first_look).out.startswith("10 of 14 runs complete\nsst2: the race goes on")


@pytest.mark.slow
def test_comparisons_of_a_race_allow_for_its_looks(at_first_look: Path, tmp_path: Path) -> None:
    def comparison(folder: Path) -> Comparison:
        judged = load_report_data(folder).judgement.comparisons
        return next(one for one in judged if (one.method, one.reference) == ("prefix", "zero_shot"))

    fixed = made.a_study(methods=METHODS)
    made.write_folder(tmp_path, fixed)
    write_all(tmp_path, read_records(tmp_path), ACCURACIES)
    alone, raced = comparison(tmp_path), comparison(at_first_look)
    assert raced.p_value == pytest.approx(alone.p_value)
    assert alone.p_adjusted is not None and raced.p_adjusted is not None
    # 3 of the 28 seeds of all looks have 3/28 of the error
    assert raced.p_adjusted == pytest.approx(min(alone.p_adjusted * 28 / 3, 1.0))


@pytest.mark.slow
def test_results_of_dropped_methods_with_further_seeds_are_not_used(tmp_path: Path) -> None:
    data = load_report_data(_folder(tmp_path, 12))
    own = [run.spec.seed for run in data.of_cell(Cell("sst2", "prefix", "full"))]
    assert own == [0, 1, 2]
    assert len(data.plan) == len(data.records)
    (course,) = data.judgement.courses.values()
    unused = 37 - len(data.records)
    assert f"{unused} results that the race did not need, with further seeds, are not used" in data.notes
    assert course.decision is not None and course.look is not None
    if course.decision.to_settle and course.decision.to_settle.seeds:
        command = decision_json(data)["sst2"]["full"]["to_settle"]["command"]
        needed = course.look.seeds + course.decision.to_settle.seeds
        assert command.endswith(f" --set seeds.to={max(needed, 13)}")


@pytest.mark.slow
def test_a_budget_that_ended_a_race_is_named(tmp_path: Path) -> None:
    data = load_report_data(_folder(tmp_path, 3, budget={"hours": 0.45}))
    assert progress(data) == "10 of 10 runs are complete."
    (statement,) = race_statements(data)
    assert "the race ended after 3 seeds: those of the next look would exceed the budget" in statement.text
    (decision,) = decision_statements(data)
    assert "The budget ended the race; a larger one may settle it" in decision.text
