import fabricated as made

from tuneoff.report.data import ReportData, matched
from tuneoff.report.settings import differing, environment_table
from tuneoff.spec import expand
from tuneoff.stats import Judgement


def test_records_are_put_in_the_order_of_the_plan() -> None:
    plan = expand(made.a_study())
    records, strangers = matched(plan, [made.a_record(run) for run in reversed(plan)])
    assert [record.run_id for record in records] == [run.run_id for run in plan]
    assert strangers == ()


def test_a_record_under_another_id_is_still_the_same_cell_of_the_study() -> None:
    plan = expand(made.a_study())
    moved = made.a_record(plan[1], run_id="moved-to-another-place")
    assert matched(plan, [moved]) == ((moved,), ())


def test_the_record_of_the_planned_run_wins_over_another_of_its_cell() -> None:
    plan = expand(made.a_study())
    own, other = made.a_record(plan[1]), made.a_record(plan[1], run_id="older")
    assert matched(plan, [own, other]) == ((own,), ("older",))


def test_records_of_no_planned_cell_are_named_apart() -> None:
    strange = made.a_record(expand(made.a_study(seeds=[9]))[1])
    assert matched(expand(made.a_study()), [strange]) == ((), (strange.run_id,))


def test_versions_that_differ_between_runs_are_counted() -> None:
    study = made.a_study(methods={"lora": made.METHODS["lora"]})
    plan = expand(study)
    other = made.an_environment(packages={"torch": "2.9.0", "transformers": "5.23.0"})
    records = (made.a_record(plan[0]), made.a_record(plan[1]), made.a_record(plan[2], environment=other))
    data = ReportData(
        study=study,
        plan=plan,
        records=records,
        strangers=(),
        searches=(),
        baselines=(),
        judgement=Judgement(),
        curves={},
    )
    assert differing(data) == ("torch",)
    assert ("torch", "2.8.0 (2 runs); 2.9.0 (1 run)") in environment_table(data).rows
