"""What `plan` says that a study's decisions will show."""

import re

import pytest

from helpers import fabricated as made
from tuneoff.reporting import PlannedTask, power_statements
from tuneoff.stats.power import CLASSIFICATION, Plan, lead_shown


def _lines(rows: int = 200, **changes: object) -> tuple[str, ...]:
    return power_statements(made.a_study(**changes), {"sst2": PlannedTask(test_rows=rows, baselines=2)})


@pytest.mark.slow
def test_the_lead_is_that_of_the_decision_among_methods_and_baselines() -> None:
    # four trained methods; zero_shot and two baselines are not
    said = re.search(
        r"^sst2: with 3 seeds, 200 test examples and 7 candidates a method that leads all others by ([.\d]+) "
        r"accuracy or more is shown to be within 0.01 of the best in 80% of such studies$",
        _lines()[0],
    )
    assert said is not None
    expected = lead_shown(Plan(3, 200, trained=4, untrained=3), CLASSIFICATION, margin=0.01)
    assert float(said[1]) == pytest.approx(expected, abs=0.0006)


@pytest.mark.slow
def test_the_lead_depends_on_the_margin_of_the_study() -> None:
    leads = []
    for margin in (0.01, 0.03):
        line = _lines(comparison={"margin": margin})[0]
        said = re.search(rf"by ([.\d]+) .* within {margin} of the best", line)
        assert said is not None
        leads.append(float(said[1]))
    assert leads[0] - leads[1] == pytest.approx(0.02, abs=0.0011)
    line = _lines(comparison={"margin": 0.5})[0]
    assert "7 candidates the decision is shown (within 0.5 of the best) in 80% of such studies" in line
    assert line.endswith("whatever the lead")


@pytest.mark.slow
def test_ablations_and_train_sizes_do_not_change_what_is_shown() -> None:
    ablations = {"rank": {"of": "lora", "vary": {"rank": [1, 2, 4]}}}
    assert _lines(ablations=ablations, train_sizes=[100, 1000]) == _lines()


@pytest.mark.slow
def test_smaller_leads_are_told_with_the_studies_that_they_need() -> None:
    _, *needs = _lines()
    assert [re.match(r"  for a lead of ([.\d]+) that needs ", line)[1] for line in needs] == [  # type: ignore[index]
        "0.01",
        "0.02",
        "0.05",
    ]
    assert re.search(r"needs \d+ seeds and [\d,]+ examples(, or \d+ seeds and [\d,]+ examples)*$", needs[-1])


@pytest.mark.slow
def test_where_nothing_can_be_shown_it_is_said() -> None:
    assert "no lead of a method is large enough for a decision" in _lines(seeds=[0, 1])[0]
    assert "with 1 seed, 200 test examples and 7 candidates nothing is shown" in _lines(seeds=[0])[0]


def test_a_study_that_trains_nothing_is_promised_nothing() -> None:
    assert _lines(methods={"zero_shot": made.METHODS["zero_shot"]}) == ()
