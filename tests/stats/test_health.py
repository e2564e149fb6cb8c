"""Each check about answers and data on a planted case and on a healthy one."""

import math
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from helpers.health_evidence import (
    GOOD,
    LABELS,
    LORA,
    REFERENCES,
    RISING,
    TEXTS,
    WEAK,
    ZERO_SHOT,
    a_curve,
    a_record,
    balanced,
    checks,
    evidence_of,
    falling_together,
    judged,
    labelled,
    mostly_right,
    waves,
    written,
)
from tuneoff.results import RunFailure
from tuneoff.stats.health import LEVELS, Finding, diagnose


def test_a_healthy_run_has_no_findings() -> None:
    assert diagnose(judged(a_record(), RISING, GOOD, zero_shot=WEAK, baseline=("tf-idf", WEAK))) == ()


def test_what_is_absent_is_not_judged() -> None:
    assert diagnose(judged(a_record(data=None))) == ()


@pytest.mark.parametrize("state", ["failed", "out_of_memory", "cancelled"])
def test_a_run_that_did_not_end_has_its_state_and_no_findings(state: str) -> None:
    record = a_record(state=state, failure=RunFailure(kind="OSError", message="no space"))
    assert diagnose(judged(record, a_curve([1, 9, 20], [0.5, 0.4, 0.3]))) == ()


def test_a_finding_that_makes_the_score_no_result_is_an_error_and_every_other_a_warning() -> None:
    errors = {check for check, level in LEVELS.items() if level == "error"}
    assert errors == {
        "diverged",
        "no effect",
        "collapsed",
        "worse than zero-shot",
        "worse than baseline",
        "contradictory",
        "chance level",
        "below chance",
        "overlapping splits",
        "score mismatch",
        "broken metric",
        "identical models",
    }
    assert Finding("diverged", "so").level == "error"
    assert Finding("looping", "so").level == "warning"


class TestNoEffect:
    def test_the_answers_of_the_base_model(self) -> None:
        found = judged(a_record(), (), GOOD, zero_shot=GOOD)
        assert checks(found) == ["no effect"]
        assert "1,000 of 1,000 test predictions" in evidence_of("no effect", found)

    def test_nearly_the_same_texts(self) -> None:
        texts = [f"answer {row}" for row in range(400)]
        almost = [text if row % 200 else text + "!" for row, text in enumerate(texts)]
        scores = waves(400, 0.3)
        found = judged(a_record(TEXTS), (), written(almost, scores), zero_shot=written(texts, scores))
        assert "398 of 400 test predictions" in evidence_of("no effect", found)

    def test_other_texts_are_an_effect_even_at_the_same_score(self) -> None:
        one, other = ([f"{word} {row}" for row in range(400)] for word in ("said", "told"))
        scores = waves(400, 0.3)
        found = judged(a_record(TEXTS), (), written(one, scores), zero_shot=written(other, scores))
        assert checks(found) == []

    def test_a_few_answers_that_all_became_right_are_an_effect(self) -> None:
        better = GOOD.copy()
        better.loc[GOOD.index[GOOD["correct"] == 0][:9], ["prediction", "correct"]] = ["1", 1.0]
        assert checks(judged(a_record(), (), better, zero_shot=GOOD)) == []

    def test_few_equal_answers_are_chance_unless_the_loss_is_equal_as_well(self) -> None:
        few = labelled(balanced(20), mostly_right(balanced(20), wrong_every=8), loss=0.3)
        moved = few.assign(loss=few["loss"] - 0.05)
        assert checks(judged(a_record(), (), few, zero_shot=moved)) == []
        assert checks(judged(a_record(), (), few, zero_shot=few)) == ["no effect"]

    def test_answers_that_are_no_label_are_told_apart_by_their_text(self) -> None:
        task = LABELS | {"scoring": "generate"}
        one, other = (
            labelled(REFERENCES, [None] * 1000).assign(text=[f"{word} {row}" for row in range(1000)])
            for word in ("la", "lo")
        )
        assert "no effect" not in checks(judged(a_record(task), (), one, zero_shot=other))
        assert "no effect" in checks(judged(a_record(task), (), one, zero_shot=one))

    def test_the_base_model_itself_gets_no_finding(self) -> None:
        assert checks(judged(a_record(method=ZERO_SHOT), (), GOOD, zero_shot=GOOD)) == []


class TestCollapsed:
    def test_one_label_for_nearly_all(self) -> None:
        answers = [0 if row % 50 == 3 else 1 for row in range(1000)]
        told = evidence_of("collapsed", judged(a_record(), (), labelled(REFERENCES, answers)))
        assert told.startswith("98.0% of 1,000 test predictions are 'good'")
        assert told.endswith("the most common reference, 'bad', has 50.0%")

    def test_the_base_model_can_collapse_too(self) -> None:
        one = labelled(REFERENCES, [1] * 1000)
        assert "collapsed" in checks(judged(a_record(method=ZERO_SHOT), (), one))

    def test_no_label_at_all_is_one_answer(self) -> None:
        none = labelled(REFERENCES, [None] * 1000)
        told = evidence_of("collapsed", judged(a_record(LABELS | {"scoring": "generate"}), (), none))
        assert "100.0% of 1,000 test predictions are no label" in told

    def test_one_text_whatever_its_case_and_spaces(self) -> None:
        texts = [" Hello there " if row % 2 else "hello  THERE" for row in range(100)]
        told = evidence_of("collapsed", judged(a_record(TEXTS), (), written(texts, waves(100, 0.1))))
        assert "100.0% of 100 test predictions are 'hello there'" in told

    @pytest.mark.parametrize("different", [5, 40])
    def test_a_stock_of_texts_for_all_inputs(self, different: int) -> None:
        texts = [f"text {row % different}" for row in range(300)]
        told = evidence_of("collapsed", judged(a_record(TEXTS), (), written(texts, waves(300, 0.1))))
        assert f"300 test predictions are {different} different texts, where the references are 300" in told

    @pytest.mark.parametrize("text", ["", "I do not know."])
    def test_one_text_for_half_of_the_inputs(self, text: str) -> None:
        texts = [text if row % 2 else f"text {row}" for row in range(300)]
        told = evidence_of("collapsed", judged(a_record(TEXTS), (), written(texts, waves(300, 0.1))))
        assert f"50.0% of 300 test predictions are '{text.casefold()}'" in told

    def test_texts_that_repeat_as_the_references_do_are_none(self) -> None:
        texts = written([f"text {row % 40}" for row in range(300)], waves(300, 0.6))
        same = texts.assign(reference=[f"reference {row % 50}" for row in range(300)])
        assert checks(judged(a_record(TEXTS), (), same)) == []

    def test_a_skewed_model_on_skewed_references_is_none(self) -> None:
        references = [1 if row % 20 == 0 else 0 for row in range(1000)]
        half_found = [value if row % 40 else 0 for row, value in enumerate(references)]
        assert "collapsed" not in checks(judged(a_record(), (), labelled(references, half_found)))

    def test_one_answer_where_the_references_hardly_vary_is_none(self) -> None:
        references = [1 if row < 3 else 0 for row in range(1000)]
        assert "collapsed" not in checks(judged(a_record(), (), labelled(references, [0] * 1000)))


class TestWorse:
    def test_the_interval_is_that_of_a_paired_t_test(self) -> None:
        ours, theirs = np.array(waves(80, 0.2, phase=1)), np.array(waves(80, 0.34))
        texts = [f"text {row}" for row in range(80)]
        others = [f"other {row}" for row in range(80)]
        record = a_record(TEXTS)
        found = judged(record, (), written(texts, ours.tolist()), zero_shot=written(others, theirs.tolist()))
        differences = ours - theirs
        low, high = student.interval(
            0.95, 79, loc=differences.mean(), scale=differences.std(ddof=1) / math.sqrt(80)
        )
        told = evidence_of("worse than zero-shot", found)
        assert f"{differences.mean():+.3f} (95% interval {low:+.3f} to {high:+.3f}) over 80 paired" in told

    def test_a_difference_within_chance_is_none(self) -> None:
        slightly = labelled(REFERENCES, mostly_right(REFERENCES, wrong_every=7, start=3))
        assert slightly["correct"].mean() < GOOD["correct"].mean()
        assert checks(judged(a_record(), (), slightly, zero_shot=GOOD)) == []

    def test_a_baseline_is_named_and_judges_the_base_model_as_well(self) -> None:
        found = judged(a_record(method=ZERO_SHOT), (), WEAK, zero_shot=GOOD, baseline=("tf-idf", GOOD))
        assert checks(found) == ["worse than baseline"]
        assert "'tf-idf'" in evidence_of("worse than baseline", found)

    def test_examples_are_paired_by_their_row_and_others_do_not_count(self) -> None:
        part = WEAK[WEAK["row"] < 600].sample(frac=1, random_state=0)
        told = evidence_of("worse than zero-shot", judged(a_record(), (), part, zero_shot=GOOD))
        assert "over 600 paired test examples" in told

    def test_five_changed_answers_are_a_chance(self) -> None:
        five = GOOD.copy()
        five.loc[GOOD.index[GOOD["correct"] == 1][:5], ["prediction", "correct"]] = ["9", 0.0]
        assert "worse than zero-shot" not in checks(judged(a_record(), (), five, zero_shot=GOOD))


class TestScoresDisagree:
    def test_a_score_that_is_not_the_mean_of_the_runs_own_predictions(self) -> None:
        right = float(GOOD["correct"].mean())
        scores = {"eval_accuracy": right + 0.05, "eval_f1": 0.9, "eval_loss": 9.0}
        found = judged(a_record(scores=scores), (), GOOD)
        assert checks(found) == ["score mismatch"]
        assert "accuracy 0.9250, the 1,000 rows of predictions have 0.8750" in evidence_of(
            "score mismatch", found
        )

    def test_any_score_that_has_a_column_is_held_against_it(self) -> None:
        texts = written([f"text {row}" for row in range(100)], waves(100, 0.3), eval_rouge1=0.4)
        mean = float(texts["eval_rougeL"].mean())
        other = a_record(TEXTS, scores={"eval_rougeL": mean, "eval_rouge1": 0.41})
        assert checks(judged(other, (), texts)) == ["score mismatch"]

    def test_the_last_digits_of_a_sum_do_not_count(self) -> None:
        scores = {"eval_accuracy": float(GOOD["correct"].mean()) + 1e-9, "eval_loss": 9.0}
        assert checks(judged(a_record(scores=scores), (), GOOD)) == []


class TestCutOff:
    def test_generated_texts_that_reach_the_limit(self) -> None:
        texts = [f"text {row}" for row in range(100)]
        cut = written(texts, waves(100, 0.3), cut=[row < 6 for row in range(100)])
        assert evidence_of("truncated", judged(a_record(TEXTS), (), cut)).startswith("6.0% of the generated")

    @pytest.mark.parametrize("columns", [{}, {"cut": None}, {"cut": [row < 5 for row in range(100)]}])
    def test_few_or_unknown_ones_are_none(self, columns: dict[str, Any]) -> None:
        texts = [f"text {row}" for row in range(100)]
        assert checks(judged(a_record(TEXTS), (), written(texts, waves(100, 0.3), **columns))) == []

    def test_inputs_and_references_cut_to_fit(self) -> None:
        record = a_record(
            splits={
                "train": {"used": 100, "truncated_inputs": 40},
                "test": {"used": 100, "truncated_targets": 10, "truncated_inputs": 5},
            }
        )
        told = evidence_of("truncated", judged(record))
        assert "40.0% of the train inputs are cut to max_source_length=512" in told
        assert "10.0% of the test references are cut to max_target_length=128" in told
        assert "test inputs" not in told

    def test_what_the_base_model_never_reads_does_not_count(self) -> None:
        record = a_record(method=ZERO_SHOT, splits={"train": {"used": 100, "truncated_inputs": 40}})
        assert checks(judged(record)) == []

    def test_a_label_without_an_end_is_a_whole_answer(self) -> None:
        task = LABELS | {"scoring": "generate"}
        read = GOOD.assign(text="good.", cut=True)
        assert checks(judged(a_record(task), (), read)) == []
        unread = labelled(REFERENCES, [None if row % 4 == 0 else REFERENCES[row] for row in range(1000)])
        found = judged(a_record(task), (), unread.assign(text="well", cut=True))
        assert "25.0% of the generated texts" in evidence_of("truncated", found)


class TestUnknownPieces:
    def test_more_than_a_few(self) -> None:
        splits = {
            "train": {"pieces": 5000, "unknown_pieces": 50},
            "test": {"pieces": 1200, "unknown_pieces": 300},
        }
        told = evidence_of("unknown tokens", judged(a_record(splits=splits)))
        assert told.startswith("25.0% of the test tokens are unknown to the tokenizer")
        assert "train" not in told

    def test_a_few_or_records_without_the_count_are_no_finding(self) -> None:
        splits = {"test": {"pieces": 1200, "unknown_pieces": 12}}
        assert checks(judged(a_record(splits=splits))) == []
        assert checks(judged(a_record())) == []

    def test_the_training_rows_of_an_untrained_model_do_not_count(self) -> None:
        splits = {"train": {"pieces": 10, "unknown_pieces": 10}}
        assert checks(judged(a_record(method=ZERO_SHOT, splits=splits))) == []


class TestContaminated:
    def test_test_rows_that_occur_in_train(self) -> None:
        record = a_record(splits={"test": {"read": 820, "empty": 1, "overlap": 9, "dropped_overlap": 3}})
        told = evidence_of("contaminated", judged(record))
        assert told.startswith("6 of 816 test rows (0.74%)")

    def test_rows_that_were_dropped_are_none(self) -> None:
        record = a_record(splits={"test": {"overlap": 9, "dropped_overlap": 9}})
        assert checks(judged(record)) == []

    def test_the_base_model_has_not_read_train(self) -> None:
        assert checks(judged(a_record(method=ZERO_SHOT, splits={"test": {"overlap": 9}}))) == []

    @pytest.mark.parametrize(
        ("model", "name", "source"),
        [
            ("google/flan-t5-small", "mine", {"hub": "SetFit/sst2"}),
            ("google/flan-t5-small", "mine", {"hub": "nyu-mll/glue", "config": "sst2"}),
            ("google/flan-t5-xl", "chats", {"hub": "knkarthick/samsum"}),
            ("./models/Flan-T5-base/", "SAMSum", {"files": {"train": "a.csv", "test": "b.csv"}}),
            ("google/flan-t5-small", "mine", {"files": {"train": "data/sst2-train.csv", "test": "b.csv"}}),
            ("google-t5/t5-small", "sst-2", {"hub": "somebody/films"}),
            ("google/flan-t5-small", "mine", {"hub": "nyu-mll/glue", "config": "cola"}),
            ("google/flan-t5-small", "mine", {"hub": "EdinburghNLP/xsum"}),
            ("google-t5/t5-base", "cb", {"hub": "aps/super_glue", "config": "cb"}),
        ],
    )
    def test_a_task_that_the_model_is_known_to_have_seen(
        self, model: str, name: str, source: dict[str, Any]
    ) -> None:
        for method in (LORA, ZERO_SHOT):
            record = a_record(LABELS | {"source": source}, method, name=name, model=model)
            assert "mixture" in evidence_of("contaminated", judged(record))

    @pytest.mark.parametrize(
        ("model", "name", "source"),
        [
            ("google/t5-v1_1-small", "sst2", {"hub": "SetFit/sst2"}),
            ("builtin:tiny", "samsum", {"hub": "knkarthick/samsum"}),
            ("google-t5/t5-base", "mine", {"hub": "EdinburghNLP/xsum"}),
            ("google/flan-t5-small", "cbs", {"hub": "somebody/colas"}),
            ("google/flan-t5-small", "dialogsum", {"hub": "knkarthick/dialogsum"}),
            ("google/flan-t5-small", "films", {"hub": "SetFit/sst5"}),
            ("google-t5/t5-small", "samsum", {"hub": "knkarthick/samsum"}),
            ("google/flan-t5-small", "sst2", {"builtin": "reviews"}),
        ],
    )
    def test_other_models_and_tasks_are_none(self, model: str, name: str, source: dict[str, Any]) -> None:
        record = a_record(LABELS | {"source": source}, name=name, model=model)
        assert checks(judged(record)) == []


ORDERED: tuple[dict[str, Any], ...] = (
    {"answers": GOOD, "zero_shot": WEAK, "baseline": ("tf-idf", WEAK)},
    {"answers": WEAK, "zero_shot": GOOD, "baseline": ("tf-idf", GOOD)},
    {"answers": GOOD, "zero_shot": GOOD},
    {
        "record": a_record(TEXTS),
        "curve": falling_together(),
        "answers": written(
            ["and so on " * 4 if row % 4 else f"text {row}" for row in range(60)],
            waves(60, 0.2),
            cut=[row < 9 for row in range(60)],
            copied=[row > 9 for row in range(60)],
        ),
        "zero_shot": written([f"other {row}" for row in range(60)], waves(60, 0.3)),
    },
)


@settings(max_examples=25)
@given(st.sampled_from(ORDERED), st.integers(0, 10**6))
def test_the_order_of_rows_and_points_does_not_matter(case: dict[str, Any], seed: int) -> None:
    def shuffled(table: pd.DataFrame) -> pd.DataFrame:
        return table.sample(frac=1, random_state=seed)

    evidence = {"record": a_record(), "curve": RISING} | case
    again = evidence | {name: shuffled(evidence[name]) for name in ("answers", "zero_shot")}
    again["curve"] = random.Random(seed).sample(evidence["curve"], len(evidence["curve"]))
    if "baseline" in evidence:
        name, answers = evidence["baseline"]
        again["baseline"] = name, shuffled(answers)
    assert diagnose(judged(**again)) == diagnose(judged(**evidence))
