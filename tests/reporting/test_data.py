from pathlib import Path

from helpers import fabricated as made
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.settings import differing, environment_table
from tuneoff.spec import expand
from tuneoff.stats import Judgement


def test_versions_that_differ_between_runs_are_counted() -> None:
    study = made.a_study(methods={"lora": made.METHODS["lora"]})
    plan = expand(study)
    other = made.an_environment(packages={"torch": "2.9.0", "transformers": "5.23.0"})
    records = (made.a_record(plan[0]), made.a_record(plan[1]), made.a_record(plan[2], environment=other))
    data = ReportData(
        study=study,
        plan=plan,
        folder=Path(),
        records=records,
        searches=(),
        baselines=(),
        judgement=Judgement(),
        curves={},
    )
    assert differing(data) == ("torch",)
    assert ("torch", "2.8.0 (2 runs); 2.9.0 (1 run)") in environment_table(data).rows
