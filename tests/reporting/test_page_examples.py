"""The examples that the page is given: what a reader of the Parquet files finds there, in columns."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers import answered
from helpers import fabricated as made
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.page import examples
from tuneoff.reporting.page.examples import page_examples
from tuneoff.spec import StudySpec, expand

pytestmark = pytest.mark.slow

LABELS = {"0": "negative", "1": "positive"}
ROWS = {"sst2": 120, "samsum": 40}


@pytest.fixture(scope="module")
def study() -> StudySpec:
    return answered.a_study()


@pytest.fixture(scope="module")
def folder(study: StudySpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answered.write_folder(tmp_path_factory.mktemp("answered"), study, ROWS)


def _texts(task: dict[str, Any], places: list[int]) -> list[str]:
    return [task["texts"][place] for place in places]


def _of(found: list[dict[str, Any]], task: str) -> dict[str, Any]:
    return next(one for one in found if one["task"] == task)


@pytest.mark.parametrize("task_name", ROWS)
def test_the_columns_hold_what_each_run_answered(folder: Path, study: StudySpec, task_name: str) -> None:
    task = _of(page_examples(load_report_data(folder)), task_name)
    names = [one["name"] for one in task["contenders"]]
    assert names == ["zero_shot", "full", "lora", "baseline simple"]
    runs = {(run.method_name, run.seed): run for run in expand(study) if run.task_name == task_name}
    read = 0
    for contender in task["contenders"]:
        for place, (answers, scores) in enumerate(
            zip(contender["answers"], contender["scores"], strict=True)
        ):
            seed = contender["seeds"][place] if contender["seeds"] else 0
            run = runs.get((contender["name"], seed))
            path = (
                f"runs/{run.run_id}/predictions.parquet"
                if run
                else f"baselines/{task_name}.nfull/simple.parquet"
            )
            table = pd.read_parquet(folder / path)
            assert task["rows"] == table["row"].tolist()
            shown = [LABELS.get(text, text) for text in table["prediction"]]
            assert _texts(task, answers) == list(map(_as_shown, shown))
            assert _texts(task, task["references"]) == [
                _as_shown(LABELS.get(text, text)) for text in table["reference"]
            ]
            score = table["correct" if task_name == "sst2" else "eval_rougeL"]
            assert np.allclose(np.array(scores) / task["scale"], score, rtol=0, atol=0.5001 / task["scale"])
            read += 1
    assert read == 1 + 3 + 3 + 1
    assert [_as_shown(text) for text in answered.inputs(ROWS[task_name])] == task["inputs"]


def _as_shown(text: str) -> str:
    """A text as the page has it: cut, and without characters that change how others are shown."""
    if len(text) > 4000:
        text = f"{text[:4000]} ... ({len(text) - 4000:,} more characters)"
    for character in "\x00\x1b\u202e\u2028":
        text = text.replace(character, character.encode("unicode_escape").decode())
    return text


def test_each_text_is_there_once(folder: Path) -> None:
    for task in page_examples(load_report_data(folder)):
        assert len(set(task["texts"])) == len(task["texts"])


def test_a_huge_set_is_cut_to_the_rows_on_which_methods_differ_most(
    folder: Path, study: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_report_data(folder)
    whole = _of(page_examples(data), "sst2")
    monkeypatch.setattr(examples, "MOST_BYTES", 20_000)
    cut = _of(page_examples(data), "sst2")
    assert 10 < len(cut["rows"]) < cut["total"] == len(whole["rows"])
    assert len(json.dumps(cut, ensure_ascii=False).encode()) < 1.5 * 10_000

    means = pd.DataFrame(
        {
            method: pd.concat(
                pd.read_parquet(folder / f"runs/{run.run_id}/predictions.parquet").set_index("row")["correct"]
                for run in expand(study)
                if (run.task_name, run.method_name) == ("sst2", method)
            )
            .groupby("row")
            .mean()
            for method in ("zero_shot", "full", "lora")
        }
    )
    apart = means.max(axis=1) - means.min(axis=1)
    left_out = apart.index.difference(cut["rows"])
    assert apart[cut["rows"]].min() >= apart[left_out].max()


def test_a_folder_of_an_older_version_has_answers_without_inputs(folder: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(folder, tmp_path / "older"))
    shutil.rmtree(older / "examples")
    whole = page_examples(load_report_data(folder))
    for task, full in zip(page_examples(load_report_data(older)), whole, strict=True):
        assert task["inputs"] is None
        assert task["contenders"] == full["contenders"]


def test_train_sizes_are_apart_and_what_is_not_trained_is_at_each(tmp_path: Path) -> None:
    study = made.a_study(
        tasks={"sst2": made.SST2},
        methods={name: made.METHODS[name] for name in ("zero_shot", "lora")},
        train_sizes=[100, "full"],
        ablations={"rank": {"of": "lora", "vary": {"rank": [2]}}},
    )
    answered.write_folder(tmp_path, study, {"sst2": 20})
    (task,) = page_examples(load_report_data(tmp_path))
    assert [(one["name"], one["trainSize"], one["seeds"]) for one in task["contenders"]] == [
        ("zero_shot", None, ()),
        ("lora", "100", (0, 1, 2)),
        ("lora", "full", (0, 1, 2)),
        ("baseline simple", "full", ()),
    ]


def test_a_generated_text_that_is_no_label_is_shown_as_such(tmp_path: Path) -> None:
    study = made.a_study(
        tasks={"sst2": made.SST2 | {"scoring": "generate"}}, methods={"full": made.METHODS["full"]}, seeds=[0]
    )
    answered.write_folder(tmp_path, study, {"sst2": 10})
    (run,) = expand(study)
    record = made.a_record(run)
    table = answered.answers(record, 10)
    table.insert(3, "text", ["positive"] * 10)
    table.loc[3, ["prediction", "text", "correct"]] = [None, "a fine <film>", 0.0]
    answered.write_run(tmp_path, record, table)
    (task,) = page_examples(load_report_data(tmp_path))
    shown = _texts(task, task["contenders"][0]["answers"][0])
    assert shown[3] == "no label: a fine <film>"
    assert set(shown[:3] + shown[4:]) <= {"negative", "positive"}


def test_a_study_without_answers_has_no_examples(tmp_path: Path) -> None:
    made.write_folder(tmp_path, made.a_study())
    assert page_examples(load_report_data(tmp_path)) == []
