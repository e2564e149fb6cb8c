"""The decision of a report: its sentence, its table and its JSON, for each way that it can turn out."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import fabricated as made
from helpers.answers import write_all, write_baseline
from tuneoff.reporting import write_report
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.decision import (
    candidate_prices,
    decision_json,
    decision_statements,
    decision_table,
    next_with,
    price_sentence,
    verdict,
)
from tuneoff.results import StudyFolder, read_records
from tuneoff.spec import load_study
from tuneoff.stats import TaskSize

METHODS = {name: made.METHODS[name] for name in ("zero_shot", "full", "lora")}
CLEAR = {"zero_shot": 0.60, "full": 0.90, "lora": 0.75}


def _folder(folder: Path, accuracies: dict[str, float], **changes: Any) -> Path:
    study = made.a_study(**({"methods": METHODS} | changes))
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), accuracies)
    write_baseline(folder, study, "sst2", "majority", 0.5)
    return folder


def _sentence(folder: Path) -> str:
    (statement,) = decision_statements(load_report_data(folder))
    return statement.text


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _folder(tmp_path_factory.mktemp("clear"), CLEAR)


@pytest.mark.slow
def test_a_method_that_is_shown_to_be_the_best_is_recommended(clear: Path) -> None:
    assert _sentence(clear).startswith("sst2: use full (accuracy 0.")
    assert _sentence(clear).endswith("): it is shown to be the best.")


def test_the_table_has_every_candidate_with_its_bound_and_its_prices(clear: Path) -> None:
    table = decision_table(load_report_data(clear))
    rows = {str(row[2]): row for row in table.rows}
    assert set(rows) == {"full (recommended)", "lora", "zero_shot", "baseline majority"}
    means = [float(str(row[3])) for row in table.rows]
    assert means == sorted(means, reverse=True)
    assert rows["full (recommended)"][5:7] == ("0.000", "yes")
    assert float(str(rows["lora"][5])) > 0.15
    assert rows["lora"][6] == "no"


@pytest.mark.slow
def test_programs_read_the_decision_from_a_file(clear: Path) -> None:
    write_report(clear)
    found = json.loads(StudyFolder(clear).report.decision.read_text(encoding="utf-8"))
    own = found["sst2"]["full"]
    assert (own["recommended"], own["state"], own["margin"], own["prefer"]) == (
        "full",
        "shown",
        0.01,
        "stored",
    )
    assert own["to_settle"] is None
    (lora,) = [one for one in own["candidates"] if one["method"] == "lora"]
    assert lora["low"] < lora["mean"] < lora["high"]
    assert not lora["may_be_best"]
    record = next(one for one in read_records(clear) if one.spec.method_name == "lora")
    assert record.timings is not None
    assert lora["prices"]["seconds_per_answer"] == pytest.approx(1 / record.timings.eval_samples_per_second)


@pytest.mark.slow
def test_a_cheaper_method_within_the_margin_is_recommended(tmp_path: Path) -> None:
    equal = {"zero_shot": 0.5, "full": 0.85, "lora": 0.85}
    folder = _folder(tmp_path, equal, comparison={"margin": 0.1, "prefer": "time"})
    decision = load_report_data(folder).judgement.decisions[TaskSize("sst2", "full")]
    seconds = {one.name: one.price for one in decision.candidates}
    assert decision.state == "shown"
    cheapest = min(("full", "lora"), key=lambda name: seconds[name] or 0)
    assert decision.recommended == cheapest
    assert "of the candidates within 0.1 of the best it trains in the shortest time" in _sentence(folder)


@pytest.mark.slow
def test_an_open_decision_says_what_would_settle_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"zero_shot": 0.5, "full": 0.85, "lora": 0.845})
    sentence = _sentence(folder)
    assert sentence.startswith("sst2: open. ")
    assert "worse than the best, and the margin is 0.01" in sentence
    assert "may be the best, too" in sentence
    (own,) = decision_json(load_report_data(folder))["sst2"].values()
    assert own["state"] == "open"
    command = f"tuneoff run {folder}/study.yaml --out {folder} --set "
    assert own["to_settle"]["limit"] is not None or own["to_settle"]["command"].startswith(command)


def test_a_single_seed_asks_for_more_with_the_command_that_adds_them(tmp_path: Path) -> None:
    folder = _folder(tmp_path, CLEAR, seeds=[4])
    sentence = _sentence(folder)
    assert "a single seed says nothing about a method. Next: 2 more seeds (" in sentence
    command = f"tuneoff run {folder}/study.yaml --out {folder} --set 'seeds=[4,0,1]'"
    assert f"`{command}`" in sentence
    # the command is one that the study in the folder takes
    arguments = shlex.split(command)
    assert load_study(arguments[2], overrides=[arguments[-1]]).all_seeds == (4, 0, 1)


def test_the_only_candidate_within_the_margin_is_not_called_the_cheapest(clear: Path) -> None:
    data = load_report_data(clear)
    (place,), (decision,) = data.judgement.decisions, data.judgement.decisions.values()

    def reason(**of_lora: Any) -> str:
        candidates = (replace(one, **of_lora) if one.name == "lora" else one for one in decision.candidates)
        found = verdict(data, place, replace(decision, candidates=tuple(candidates)))
        assert found is not None
        return found.reason

    only = "it is the only candidate shown to be within 0.01 of the best"
    assert reason(may_be_best=True, costs_at_most=0.05) == only
    assert (
        reason(may_be_best=True, costs_at_most=0.001, findings=("collapsed",)) == "it is shown to be the best"
    )
    assert "the only" not in reason(may_be_best=True, costs_at_most=0.001)


def test_a_price_is_said_as_far_as_it_is_known(clear: Path) -> None:
    data = load_report_data(clear)
    (place,) = data.judgement.decisions
    prices = candidate_prices(data, place, "lora")
    assert prices["stored_bytes"] is None and prices["training_seconds"]
    trained = price_sentence(data, place, "lora")
    assert re.fullmatch(r"Price: [^,]+ of training, [^,]+ ms per answer\.", trained)
    untrained = price_sentence(data, place, "zero_shot")
    assert re.fullmatch(r"Price: nothing to train or store, [^,]+ ms per answer\.", untrained)
    assert price_sentence(data, place, "baseline majority") == "Price: nothing to train or store."


def test_the_weights_of_what_is_recommended_are_named(clear: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clear, tmp_path / "copy")
    data = load_report_data(folder)
    (place,) = data.judgement.decisions
    scores = {0: 0.6, 1: 0.8, 2: 0.7}  # on validation, by seed
    validated = [
        one.model_copy(update={"validation": {"eval_accuracy": scores[one.spec.seed]}})
        for one in data.records
    ]
    data = replace(data, records=tuple(validated))
    assert next_with(data, place, "full") == next_with(data, place, "zero_shot") == ""  # none are kept
    runs = {one.spec.seed: one.run_id for one in data.records if one.spec.method_name == "full"}
    for run_id in runs.values():
        StudyFolder(folder).run(run_id).adapter.mkdir()
    assert next_with(data, place, "full") == (
        "Next: the weights of its seed with the best validation score are in "
        f"`{folder}/runs/{runs[1]}/adapter`."
    )


def test_what_needs_no_training_can_be_the_answer(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"zero_shot": 0.95, "full": 0.7, "lora": 0.7})
    assert _sentence(folder).startswith("sst2: use zero_shot, without fine-tuning (accuracy 0.9")


def test_a_candidate_that_failed_a_check_is_never_recommended(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"zero_shot": 0.6, "full": 0.3, "lora": 0.75})
    decision = load_report_data(folder).judgement.decisions[TaskSize("sst2", "full")]
    assert decision["full"].findings
    assert decision.recommended == "lora"
