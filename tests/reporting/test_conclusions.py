"""What a report says in words: by rule, from its comparisons, and never beyond them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers import fabricated as made
from helpers.answers import write_all, write_answers, write_baseline
from tuneoff.reporting import write_report
from tuneoff.reporting.conclusions import conclusions
from tuneoff.reporting.data import ReportData, load_report_data
from tuneoff.results import read_records
from tuneoff.spec import expand
from tuneoff.stats import interval

ACCURACIES = {"zero_shot": 0.70, "full": 0.85, "lora": 0.848, "prefix": 0.60, "prompt": 0.74}


def _study_folder(folder: Path, accuracies: dict[str, float] = ACCURACIES, **changes: Any) -> Path:
    study = made.a_study(**changes)
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), accuracies)
    write_baseline(folder, study, "sst2", "majority", 0.5)
    write_baseline(folder, study, "sst2", "tfidf", 0.78)
    return folder


def _conclusions(folder: Path) -> list[str]:
    return [one.text for one in conclusions(load_report_data(folder))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _study_folder(tmp_path_factory.mktemp("found"))


@pytest.fixture(scope="module")
def data(folder: Path) -> ReportData:
    return load_report_data(folder)


def test_the_method_with_the_highest_mean_is_named_with_its_interval(data: ReportData) -> None:
    first, alone = conclusions(data)[0], data.judgement.intervals["sst2", "full", "full"]
    assert alone.mean == pytest.approx(max(one.mean for one in data.judgement.intervals.values()))
    assert first.text.startswith("sst2: full has the highest accuracy of the trained methods")
    assert f"methods, {alone.mean:.3f} (95% interval" in first.text
    said = re.search(r"the choice among 4 methods: ([.\d]+) to ([.\d]+); 3 seeds", first.text)
    assert said is not None
    assert float(said[1]) < alone.low < alone.high < float(said[2])


def test_the_interval_of_the_best_method_is_that_of_an_adjusted_level(data: ReportData, folder: Path) -> None:
    best = data.judgement.best["sst2", "full"]
    runs = [record for record in data.records if record.spec.method_name == best.method]
    tables = [pd.read_parquet(folder / "runs" / run.run_id / "predictions.parquet") for run in runs]
    expected = interval(np.stack([table["correct"] for table in tables]), alpha=0.05 / 4)
    assert (best.interval.low, best.interval.high) == pytest.approx((expected.low, expected.high))


def test_every_comparison_is_stated_with_its_outcome_and_no_other(data: ReportData) -> None:
    told = "\n".join(one.text for one in conclusions(data))
    for one in data.judgement.comparisons:
        (line,) = re.findall(rf"^sst2, against {one.reference}(?: \(.+?\))?: (.+)\.$", told, re.MULTILINE)
        groups = dict(part.split(": ", 1) for part in line.split("; "))
        places = [outcome for outcome, names in groups.items() if f"{one.method} (" in names]
        assert places == [one.outcome]


def test_planted_differences_get_their_outcomes(data: ReportData) -> None:
    outcomes = {(one.method, one.reference): one.outcome for one in data.judgement.comparisons}
    assert outcomes == {
        ("full", "zero_shot"): "better",
        ("lora", "full"): "not distinguishable",
        ("lora", "zero_shot"): "better",
        ("prefix", "full"): "worse",
        ("prefix", "zero_shot"): "worse",
        ("prompt", "full"): "worse",
        ("prompt", "zero_shot"): "better",
    }


@pytest.mark.slow
def test_the_cheapest_method_that_is_shown_to_be_level_is_told_with_what_it_costs(tmp_path: Path) -> None:
    (line,) = [
        one for one in _conclusions(_study_folder(tmp_path, comparison={"margin": 0.05})) if "fewest" in one
    ]
    assert "match or beat full, lora trains the fewest parameters, 344,064 (0.447% of" in line
    assert "2 min 31 s a run (full: 2 min 31 s)" in line


def test_no_method_is_said_to_match_where_nothing_shows_it(data: ReportData) -> None:
    told = [one.text for one in conclusions(data) if "shown to match or beat" in one.text]
    assert len(told) == 1
    assert told[0].startswith(
        "sst2: no method is shown to match or beat full (whether one matches it is tested only if"
    )


@pytest.mark.slow
def test_methods_below_the_strongest_baseline_are_marked(folder: Path, data: ReportData) -> None:
    (line,) = [one for one in _conclusions(folder) if "strongest simple baseline" in one]
    assert re.findall(r"(\w+) \([-+.\d]+ against tfidf", line) == ["prefix", "prompt"]
    write_report(folder)
    report = (folder / "report/report.md").read_text(encoding="utf-8")
    results = report.partition("## Results")[2].partition("## Intervals")[0]
    rows = {line.split("|")[1].strip(): line for line in results.splitlines() if line.startswith("| ")}
    assert "not shown to beat tfidf" in rows["prompt"]
    assert "not shown to beat" not in rows["lora"]
    assert {"baseline majority", "baseline tfidf"} <= rows.keys()


@pytest.mark.slow
def test_runs_that_failed_checks_are_counted_and_their_findings_are_in_a_file(
    folder: Path, data: ReportData
) -> None:
    write_report(folder)
    found = json.loads((folder / "report" / "health.json").read_text(encoding="utf-8"))
    assert found.keys() == {record.run_id for record in data.records}
    failed = [run for run, findings in found.items() if any(one["level"] == "error" for one in findings)]
    assert any(
        line.startswith(f"{len(failed)} of 13 finished runs failed health checks: ")
        for line in _conclusions(folder)
    )
    worse = {run.split(".")[1] for run, told in found.items() for one in told if "zero-shot" in one["check"]}
    assert worse == {"prefix"}


def test_runs_without_a_result_are_counted_by_their_state(tmp_path: Path) -> None:
    study = made.a_study(methods={"full": made.METHODS["full"]}, seeds=[0, 1, 2])
    failed, cancelled, complete = expand(study)
    records = [made.a_failure(failed), made.a_failure(cancelled, state="cancelled"), made.a_record(complete)]
    made.write_folder(tmp_path / "some", study, records=records)
    told = _conclusions(tmp_path / "some")
    assert "2 runs ended without a result: 1 cancelled, 1 failed." in told
    assert "The only finished run passed the health checks." in told
    made.write_folder(tmp_path / "none", study, records=records[:1])
    assert _conclusions(tmp_path / "none") == ["1 run ended without a result: 1 failed."]


def test_a_run_whose_predictions_have_no_rows_is_named_and_left_out(tmp_path: Path) -> None:
    folder = _study_folder(tmp_path)
    path = next(folder.glob("runs/*full*/predictions.parquet"))
    pd.read_parquet(path).head(0).to_parquet(path)
    data = load_report_data(folder)
    (left_out,) = data.damaged
    assert left_out.reason == f"{path} was changed after it was written"
    assert path.parent.name not in {record.run_id for record in data.records}


def test_what_cannot_be_distinguished_calls_for_more_seeds(folder: Path) -> None:
    assert "Next: add seeds or test examples to distinguish lora from full on sst2." in _conclusions(folder)


def test_pairs_that_the_decision_does_not_need_call_for_nothing(tmp_path: Path) -> None:
    # full is shown to be the best, whatever lora is beside the base model
    folder = _study_folder(tmp_path, ACCURACIES | {"full": 0.95, "lora": 0.83, "zero_shot": 0.83})
    told = _conclusions(folder)
    assert not any(text.startswith("Next: add seeds") for text in told)
    (text,) = [text for text in told if text.endswith("the decision stands without them.")]
    assert text.startswith("To distinguish ") and "from zero_shot on sst2" in text


def test_one_seed_is_no_basis_for_a_claim(tmp_path: Path) -> None:
    told = _conclusions(_study_folder(tmp_path, seeds=[0]))
    (line,) = [one for one in told if one.startswith("sst2, against full")]
    assert "single seed, no claim about the method" in line
    assert "better" not in line


@pytest.mark.slow
def test_equivalence_is_only_claimed_within_the_margin_of_the_study(tmp_path: Path) -> None:
    wide = _conclusions(_study_folder(tmp_path / "wide", comparison={"margin": 0.05}))
    assert any("equivalent within the margin: lora" in line for line in wide)
    narrow = _conclusions(_study_folder(tmp_path / "narrow", comparison={"margin": 0.0001}))
    assert not any("equivalent" in line for line in narrow)


@pytest.mark.slow
def test_every_statement_leads_to_a_section_that_is_there(folder: Path, data: ReportData) -> None:
    write_report(folder)
    page = (folder / "report/report.html").read_text(encoding="utf-8")
    assert {one.evidence.href for one in conclusions(data)}
    for one in conclusions(data):
        assert f'<section id="{one.evidence.href[1:]}">' in page


def test_a_study_without_predictions_says_nothing_of_scores(tmp_path: Path) -> None:
    study = made.a_study()
    made.write_folder(tmp_path, study, records=[made.a_failure(run) for run in expand(study)])
    assert not [line for line in _conclusions(tmp_path) if "highest" in line or "against" in line]


@pytest.mark.slow
def test_where_two_methods_are_level_is_told_with_its_interval(tmp_path: Path) -> None:
    study = made.a_study(
        methods={name: made.METHODS[name] for name in ("full", "prompt")}, train_sizes=[100, 1000]
    )
    made.write_folder(tmp_path, study)
    accuracies = {("full", 100): 0.60, ("full", 1000): 0.85, ("prompt", 100): 0.70, ("prompt", 1000): 0.75}
    for record in read_records(tmp_path):
        write_answers(tmp_path, record, accuracies[record.spec.method_name, record.spec.train_size])
    (line,) = [one for one in _conclusions(tmp_path) if "equal at about" in one]
    assert line.startswith("sst2: prompt scores higher with few training rows, full with many")
    rows, low, high = (
        int(number) for number in re.findall(r"\d+", line.partition("about")[2]) if number != "95"
    )
    assert 100 < low < rows < high < 1000
    write_report(tmp_path)
    assert "## Crossovers" in (tmp_path / "report/report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_order_that_is_not_shown_to_change_is_no_crossover(tmp_path: Path) -> None:
    study = made.a_study(
        methods={name: made.METHODS[name] for name in ("full", "prompt")}, train_sizes=[100, 1000]
    )
    made.write_folder(tmp_path, study)
    accuracies = {("full", 100): 0.70, ("full", 1000): 0.75, ("prompt", 100): 0.71, ("prompt", 1000): 0.74}
    for record in read_records(tmp_path):
        write_answers(tmp_path, record, accuracies[record.spec.method_name, record.spec.train_size])
    means = {cell: one.mean for cell, one in load_report_data(tmp_path).judgement.intervals.items()}
    assert means["sst2", "prompt", 100] > means["sst2", "full", 100]
    assert means["sst2", "prompt", 1000] < means["sst2", "full", 1000]
    assert not [line for line in _conclusions(tmp_path) if "equal at about" in line]


def _broken_folder(folder: Path, **changes: Any) -> Path:
    """A study in which lora answers as the untrained model does, so that its runs fail a check."""
    accuracies = {"zero_shot": 0.80, "full": 0.85, "lora": 0.80, "prompt": 0.849}
    study = made.a_study(methods={name: made.METHODS[name] for name in accuracies}, **changes)
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), accuracies)
    for record in read_records(folder):
        if record.spec.method_name in ("zero_shot", "lora"):
            write_answers(folder, record, accuracies["lora"], seed=7)
    return folder


@pytest.mark.slow
def test_a_method_whose_runs_failed_a_check_is_marked_wherever_it_is_named(tmp_path: Path) -> None:
    folder = _broken_folder(tmp_path)
    # its runs are alike, which is a finding of its own and names them by id
    named = [
        line for line in _conclusions(folder) if "lora" in line and not line.startswith("identical models: ")
    ]
    assert len(named) >= 3
    assert all(re.search(r"lora \([^)]*no effect", line) for line in named)
    write_report(folder)
    report = (folder / "report/report.md").read_text(encoding="utf-8")
    for section, named in (("Intervals", "| no effect"), ("Comparisons with references", "lora: no effect")):
        table = report.partition(f"## {section}\n")[2].partition("\n## ")[0]
        rows = [line for line in table.splitlines() if line.startswith("| lora ")]
        assert rows
        assert all(named in row for row in rows)


def test_more_seeds_are_never_advised_for_a_method_whose_runs_failed_a_check(tmp_path: Path) -> None:
    steps = [line for line in _conclusions(_broken_folder(tmp_path)) if line.startswith("Next: ")]
    (seeds,) = [line for line in steps if "add seeds or test examples" in line]
    assert "lora" not in seeds
    assert "prompt from full on sst2" in seeds
    (line,) = [line for line in steps if line.startswith("Next: fix the runs of ")]
    assert "lora (failed check: no effect) on sst2" in line


@pytest.mark.slow
def test_a_method_that_failed_a_check_is_never_said_to_match(tmp_path: Path) -> None:
    told = _conclusions(_broken_folder(tmp_path, comparison={"margin": 0.5}))
    (line,) = [one for one in told if "fewest parameters" in one]
    assert "match or beat full, prompt trains" in line
    study = _broken_folder(tmp_path / "reference", comparison={"margin": 0.5, "references": ["lora"]})
    assert "sst2: no method is said to match lora (failed check: no effect)." in _conclusions(study)


@pytest.mark.slow
def test_a_small_certain_loss_is_told_as_worse_but_within_the_margin(tmp_path: Path) -> None:
    accuracies = ACCURACIES | {"lora": 0.82}
    told = _conclusions(_study_folder(tmp_path, accuracies, comparison={"margin": 0.2}))
    (line,) = [one for one in told if one.startswith("sst2, against full:")]
    assert re.search(r"worse, but within the margin: .*lora \(", line)
    assert any("match or beat full, " in one for one in told)


@pytest.mark.slow
def test_the_rate_of_collapse_that_few_seeds_leave_open_is_told(folder: Path) -> None:
    write_report(folder)
    report = (folder / "report/report.md").read_text(encoding="utf-8")
    note = report.partition("## Intervals\n")[2].partition("\n|")[0]
    possible = 1 - 0.05 ** (1 / 3)
    assert "0 of 3 seeds collapsed or diverged for every trained method" in note
    assert f"a rate of up to {possible:.0%} is possible" in note


@pytest.mark.slow
def test_an_ablation_variant_is_not_the_best_method_but_a_higher_one_is_told(tmp_path: Path) -> None:
    study = made.a_study(
        methods={name: made.METHODS[name] for name in ("full", "lora")},
        ablations={"rank": {"of": "lora", "vary": {"rank": [16]}}},
    )
    made.write_folder(tmp_path, study)
    accuracies = {"full": 0.80, "lora": 0.75, "lora-rank=16": 0.85}
    write_all(tmp_path, read_records(tmp_path), accuracies)
    first = _conclusions(tmp_path)[0]
    assert first.startswith("sst2: full has the highest")
    assert "the choice among 2 methods" in first
    assert re.search(r"of the ablation variants, lora-rank=16 \(0\.8\d\d\) scored higher\.$", first)


@pytest.mark.slow
def test_methods_of_the_same_mean_are_not_ranked(tmp_path: Path) -> None:
    folder = _study_folder(tmp_path)
    for record in read_records(folder):
        if record.spec.method_name in ("full", "lora"):
            write_answers(folder, record, 0.85, seed=record.spec.seed)
    first = _conclusions(folder)[0]
    assert first.startswith("sst2: full and lora have the same accuracy, the highest of the trained ")


@pytest.mark.slow
def test_the_train_size_of_runs_to_fix_is_told_where_there_are_several(tmp_path: Path) -> None:
    told = _conclusions(_broken_folder(tmp_path, train_sizes=[100, "full"]))
    (line,) = [line for line in told if line.startswith("Next: fix the runs of ")]
    assert "lora (failed check: no effect) on sst2 with full training rows" in line


def test_several_failed_checks_of_the_best_method_are_listed(tmp_path: Path) -> None:
    methods = {name: made.METHODS[name] for name in ("zero_shot", "prefix")}
    best = _conclusions(_study_folder(tmp_path, methods=methods))[0]
    assert best.endswith("800 test examples), failed checks: worse than baseline and worse than zero-shot.")


_REPORT = """
import sys
from pathlib import Path
from tuneoff.reporting import write, write_report
from tuneoff.reporting.charts import Picture

# drawing takes longest, and is the same program
write.pictures = lambda charts: [Picture(b"<svg/>", b"a picture")] * len(charts)
write.chart_library = lambda: ""
write_report(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_equal_results_give_equal_reports_in_every_process(tmp_path: Path) -> None:
    _study_folder(tmp_path, methods={name: made.METHODS[name] for name in ("zero_shot", "full", "prefix")})

    def reported(hash_seed: str) -> str:
        command = [sys.executable, "-c", _REPORT, str(tmp_path)]
        subprocess.run(
            command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": hash_seed}
        )
        return (tmp_path / "report/report.md").read_text(encoding="utf-8")

    first = reported("0")
    assert "worse than baseline (3 of 3)" in first
    assert reported("1") == first
