"""The tables of circumstances: the configuration is that of the runs, absent counts are absent."""

import io
from pathlib import Path
from typing import Literal

from rich.console import Console

from helpers import fabricated as made
from tuneoff.cli.progress import Progress
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.sections import document
from tuneoff.reporting.settings import data_table, methods_table
from tuneoff.reporting.tables import search_table
from tuneoff.reporting.titles import Title
from tuneoff.results import RunRecord, SearchResult, SplitReport, StudyFolder, Trial, chosen_values
from tuneoff.spec import Search, StudySpec, expand, searches
from tuneoff.study import SearchFinished


def _searched(folder: Path, study: StudySpec, rates: dict[str, float]) -> None:
    """The study's folder, its searches and the runs with what they chose, by train size."""
    results = [_result(search, rates[str(search.run.train_size)]) for search in searches(study)]
    made.write_folder(folder, study, records=map(made.a_record, expand(study, chosen_values(study, results))))
    for result in results:
        place = StudyFolder(folder).search(result.search_id)
        place.path.mkdir(parents=True)
        place.result.write_text(result.model_dump_json(), encoding="utf-8")


def _result(search: Search, rate: float) -> SearchResult:
    tried = {0.01: 0.5, rate: 0.9}
    trials = tuple(
        Trial(number=number, values={"learning_rate": value}, state="complete", score=score, eval_loss=1.0)
        for number, (value, score) in enumerate(tried.items())
    )
    return SearchResult(
        search_id=search.search_id,
        task_name=search.run.task_name,
        method_name=search.run.method_name,
        train_size=search.run.train_size,
        metric="eval_accuracy",
        space=search.space,
        seeds=search.seeds,
        steps=10,
        trials=trials,
    )


LOST: tuple[Literal["failed", "pruned", "out_of_memory"], ...] = (
    "failed",
    "pruned",
    "out_of_memory",
    "failed",
)


def _study(**changes: object) -> StudySpec:
    methods = {"zero_shot": made.METHODS["zero_shot"], "lora": {"kind": "lora", "learning_rate": 0.003}}
    return made.a_study(methods=methods, seeds=[0], search={"trials": 2}, **changes)


def test_the_configuration_shows_what_a_search_chose(tmp_path: Path) -> None:
    _searched(tmp_path, _study(), {"full": 0.077})
    table = methods_table(load_report_data(tmp_path))
    assert table.columns == ("Method", "Kind", "Settings")
    shown = {row[0]: str(row[-1]) for row in table.rows}
    assert shown["lora"].startswith("learning_rate=0.077, ")
    assert shown["zero_shot"] == "none"


def test_trials_without_a_score_are_counted_by_state(tmp_path: Path) -> None:
    study = _study()
    _searched(tmp_path, study, {"full": 0.077})
    (search,) = searches(study)
    result = _result(search, 0.077)
    values = {"learning_rate": 0.1}
    lost = tuple(Trial(number=2 + n, values=values, state=state) for n, state in enumerate(LOST))
    result = result.model_copy(update={"trials": (*result.trials, *lost)})
    place = StudyFolder(tmp_path).search(result.search_id).result
    place.write_text(result.model_dump_json(), encoding="utf-8")
    (row,) = search_table(load_report_data(tmp_path)).rows
    assert row[-2] == "6 (2 failed, 1 out of memory)"
    out = io.StringIO()
    with Progress(Console(file=out)) as progress:
        progress.show(SearchFinished(result))
    assert out.getvalue().rstrip().endswith("on validation  (of 6 trials: 2 failed, 1 out of memory)")


def test_searches_that_chose_different_values_have_a_row_each(tmp_path: Path) -> None:
    _searched(tmp_path, _study(train_sizes=[100, "full"]), {"100": 0.05, "full": 0.077})
    table = methods_table(load_report_data(tmp_path))
    assert table.columns == ("Method", "Kind", "Runs", "Settings")
    shown = {(row[0], row[2]): str(row[3]).partition(",")[0] for row in table.rows}
    assert shown == {
        ("zero_shot", "all"): "none",
        ("lora", "sst2, train size 100"): "learning_rate=0.05",
        ("lora", "sst2, train size full"): "learning_rate=0.077",
    }


def test_searches_that_agree_share_a_row(tmp_path: Path) -> None:
    _searched(tmp_path, _study(train_sizes=[100, "full"]), {"100": 0.05, "full": 0.05})
    assert [row[:2] for row in methods_table(load_report_data(tmp_path)).rows] == [
        ("zero_shot", "none"),
        ("lora", "lora"),
    ]


def recorded(run: object, near_overlap: int | None) -> RunRecord:
    record = made.a_record(run)
    assert record.data is not None
    test = record.data.test.model_copy(update={"near_overlap": near_overlap})
    return record.model_copy(update={"data": record.data.model_copy(update={"test": test})})


def test_a_record_from_before_rows_were_counted_so_is_read_and_its_counts_are_absent(tmp_path: Path) -> None:
    old = {name: 0 for name in SplitReport.model_fields if name not in ("near_overlap", "repeated_inputs")}
    old.pop("validation_overlap")
    assert SplitReport.model_validate(old).near_overlap is None
    study = made.a_study(methods={"full": {"kind": "full"}})
    for name, counts, shown in (
        ("old", (None,) * 3, "\N{EN DASH}"),
        ("new", (2, 7, 4), "2 to 7"),
        ("both", (None, 3, 3), "3"),
    ):
        records = [recorded(run, near) for run, near in zip(expand(study), counts, strict=True)]
        folder = made.write_folder(tmp_path / name, study, records=records)
        table = data_table(load_report_data(folder))
        (row,) = [row for row in table.rows if row[1] == "test"]
        assert row[table.columns.index("near overlap")] == shown


def test_a_search_by_halving_is_told_in_words_with_the_trials_at_each_rung(tmp_path: Path) -> None:
    study = _study()
    _searched(tmp_path, study, {"full": 0.077})
    (search,) = searches(study)
    reached = ((0.6,), (0.7, 0.8), (0.5,))
    trials = tuple(
        Trial(number=n, values={"learning_rate": 0.1**n}, state="pruned", rung_scores=scores)
        for n, scores in enumerate(reached)
    )
    trials = (trials[0], trials[1].model_copy(update={"state": "complete", "score": 0.8}), trials[2])
    result = _result(search, 0.077).model_copy(update={"trials": trials, "rungs": (112, 1000), "steps": 1000})
    place = StudyFolder(tmp_path).search(result.search_id).result
    place.write_text(result.model_dump_json(), encoding="utf-8")
    data = load_report_data(tmp_path)
    (row,) = search_table(data).rows
    assert row[-1] == "3 trials: 112, 1 trial: 1,000"
    assert row[-2] == "3"
    assert row[-3] == "0.800"
    page = document(data, ())
    (section,) = (one for one in page.sections if one.title == Title.SEARCH)
    assert "successive halving, equally for every method" in " ".join(section.paragraphs)
