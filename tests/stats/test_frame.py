import json
import math
import subprocess
import sys

import pytest

from tuneoff.results import Footprint, Forgetting, RunFailure, RunRecord, Timings
from tuneoff.spec import RunSpec, StudySpec, expand
from tuneoff.stats import SCORES, frame, summary

STUDY = StudySpec.model_validate_json(
    json.dumps(
        {
            "name": "small",
            "model": {"id": "google/flan-t5-small"},
            "tasks": {
                "sst2": {
                    "kind": "classification",
                    "source": {"hub": "SetFit/sst2"},
                    "prompt": "{text}",
                    "target": "label",
                    "labels": {"0": "negative", "1": "positive"},
                }
            },
            "methods": {"zero_shot": {"kind": "none"}, "lora": {"kind": "lora"}},
            "train_sizes": [100, "full"],
            "seeds": [0, 1, 2],
            "training": {"max_steps": 10},
        }
    )
)


def lora_runs(train_size: int | str) -> list[RunSpec]:
    return [run for run in expand(STUDY) if run.method_name == "lora" and run.train_size == train_size]


def complete(run: RunSpec, **scores: float) -> RunRecord:
    return RunRecord(
        run_id=run.run_id,
        spec=run,
        state="complete",
        scores=scores,
        footprint=Footprint(base=1000, trainable=13, receiving_gradient=13, stored=12, deployed=0),
        timings=Timings(
            setup=1.0,
            train=2.0,
            total=3.0,
            eval_runtime=4.0,
            eval_samples_per_second=5.0,
            eval_steps_per_second=6.0,
        ),
    )


def failed(run: RunSpec) -> RunRecord:
    failure = RunFailure(kind="ValueError", message="no")
    return RunRecord(run_id=run.run_id, spec=run, state="failed", failure=failure)


def test_a_run_is_a_row_with_its_spec_scores_counts_and_times() -> None:
    run = lora_runs(100)[1]
    row = frame([complete(run, eval_accuracy=0.75)]).iloc[0]
    assert (row["task"], row["method"], row["train_size"], row["seed"]) == ("sst2", "lora", 100, 1)
    assert (row["run_id"], row["state"], row["eval_accuracy"]) == (run.run_id, "complete", 0.75)
    assert (row["trainable"], row["stored"], row["deployed"]) == (13, 12, 0)
    assert row["trainable_percent"] == pytest.approx(1.3)
    assert (row["setup_seconds"], row["train_seconds"], row["total_seconds"]) == (1.0, 2.0, 3.0)
    assert (row["eval_runtime"], row["eval_samples_per_second"], row["eval_steps_per_second"]) == (
        4.0,
        5.0,
        6.0,
    )


def test_what_a_run_does_not_have_is_missing_and_not_zero() -> None:
    row = frame([failed(lora_runs(100)[0])]).iloc[0]
    absent = [*SCORES, "trainable", "trainable_percent", "train_seconds", "eval_runtime", "best_step"]
    assert row[absent].isna().all()


def test_scores_beyond_the_usual_ones_get_a_column() -> None:
    first, second, _ = lora_runs(100)
    table = frame([complete(first, eval_f1_macro=0.5), complete(second, eval_invalid=0.1)])
    assert table["eval_f1_macro"].iloc[0] == 0.5
    assert math.isnan(table["eval_f1_macro"].iloc[1])
    assert table["eval_invalid"].iloc[1] == 0.1


def test_no_records_make_an_empty_frame_and_an_empty_summary() -> None:
    table = frame([])
    assert table.empty
    assert "eval_rougeLsum" in table.columns
    assert summary(table).empty
    assert "eval_rougeLsum_std" in summary(table).columns


def test_a_summary_row_has_the_mean_and_the_sample_standard_deviation_of_its_runs() -> None:
    records = [
        complete(run, eval_accuracy=score) for run, score in zip(lora_runs(100), (0.5, 0.6, 0.9), strict=True)
    ]
    row = summary(frame(records)).iloc[0]
    assert row["eval_accuracy"] == pytest.approx(2.0 / 3)
    # deviations -1/6, -1/15, 7/30 squared, summed, over n - 1 = 2
    assert row["eval_accuracy_std"] == pytest.approx(math.sqrt((1 / 36 + 1 / 225 + 49 / 900) / 2))
    assert row["n"] == 3
    assert row["run_ids"] == tuple(record.run_id for record in records)
    assert (row["trainable"], row["eval_runtime"], row["eval_runtime_std"]) == pytest.approx((13, 4.0, 0.0))


def test_one_run_has_no_standard_deviation() -> None:
    row = summary(frame([complete(lora_runs(100)[0], eval_accuracy=0.5)])).iloc[0]
    assert row["eval_accuracy"] == pytest.approx(0.5)
    assert math.isnan(row["eval_accuracy_std"])


def test_runs_that_are_not_complete_do_not_count() -> None:
    first, second, third = lora_runs(100)
    diverged = complete(second, eval_accuracy=0.1).model_copy(update={"state": "diverged"})
    row = summary(frame([complete(first, eval_accuracy=0.5), diverged, failed(third)])).iloc[0]
    assert (row["n"], row["run_ids"]) == (1, (first.run_id,))
    assert row["eval_accuracy"] == pytest.approx(0.5)


def test_train_sizes_are_rows_of_their_own_in_order_of_appearance() -> None:
    records = [
        complete(lora_runs("full")[0], eval_accuracy=0.9),
        complete(lora_runs(100)[0], eval_accuracy=0.5),
    ]
    table = summary(frame(records))
    assert list(table["train_size"]) == ["full", 100]
    assert list(table["eval_accuracy"]) == pytest.approx([0.9, 0.5])


@pytest.mark.slow
@pytest.mark.subprocess
def test_reporting_and_statistics_load_no_torch() -> None:
    code = (
        "import sys, tuneoff.reporting, tuneoff.stats;"
        "doing = ('study', 'training', 'methods', 'tasks');"
        "print([name for name in sys.modules if name in ('torch', 'transformers', 'peft', 'datasets')"
        " or name.startswith(tuple('tuneoff.' + wing for wing in doing))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_forgetting_has_a_column_if_a_run_measured_it() -> None:
    found = Forgetting(
        objective="continuation", before=3.0, after=3.25, texts=2, tokens=9, truncated=0, digest="ab"
    )
    first, second, _ = map(complete, lora_runs(100))
    assert "forgetting" not in frame([first])
    found_in = frame([first, second.model_copy(update={"forgetting": found})])["forgetting"]
    assert found_in.tolist() == pytest.approx([float("nan"), 0.25], nan_ok=True)
