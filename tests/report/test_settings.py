"""The configuration that a report shows is that of the runs behind its scores."""

from pathlib import Path

import fabricated as made

from tuneoff.report.data import gather
from tuneoff.report.settings import methods_table
from tuneoff.spec import Search, SearchResult, StudySpec, Trial, expand, searches
from tuneoff.spec.results import RESULT_FILE, SEARCH


def _searched(folder: Path, study: StudySpec, rates: dict[str, float]) -> None:
    """The study's folder, its searches and the runs with what they chose, by train size."""
    results = [_result(search, rates[str(search.run.train_size)]) for search in searches(study)]
    made.write_folder(folder, study, records=map(made.a_record, expand(study, results)))
    for result in results:
        place = folder / SEARCH / result.search_id
        place.mkdir(parents=True)
        (place / RESULT_FILE).write_text(result.model_dump_json(), encoding="utf-8")


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


def _study(**changes: object) -> StudySpec:
    methods = {"zero_shot": made.METHODS["zero_shot"], "lora": {"kind": "lora", "learning_rate": 0.003}}
    return made.a_study(methods=methods, seeds=[0], search={"trials": 2}, **changes)


def test_the_configuration_shows_what_a_search_chose(tmp_path: Path) -> None:
    _searched(tmp_path, _study(), {"full": 0.077})
    table = methods_table(gather(tmp_path))
    assert table.columns == ("Method", "Kind", "Settings")
    shown = {row[0]: str(row[-1]) for row in table.rows}
    assert shown["lora"].startswith("learning_rate=0.077, ")
    assert shown["zero_shot"] == "-"


def test_searches_that_chose_different_values_have_a_row_each(tmp_path: Path) -> None:
    _searched(tmp_path, _study(train_sizes=[100, "full"]), {"100": 0.05, "full": 0.077})
    table = methods_table(gather(tmp_path))
    assert table.columns == ("Method", "Kind", "Runs", "Settings")
    shown = {(row[0], row[2]): str(row[3]).partition(",")[0] for row in table.rows}
    assert shown == {
        ("zero_shot", "all"): "-",
        ("lora", "sst2, train size 100"): "learning_rate=0.05",
        ("lora", "sst2, train size full"): "learning_rate=0.077",
    }


def test_searches_that_agree_share_a_row(tmp_path: Path) -> None:
    _searched(tmp_path, _study(train_sizes=[100, "full"]), {"100": 0.05, "full": 0.05})
    assert [row[:2] for row in methods_table(gather(tmp_path)).rows] == [
        ("zero_shot", "none"),
        ("lora", "lora"),
    ]
