"""From a study to its runs."""

import itertools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import small
from tuneoff.spec import (
    BuiltinSource,
    LoraSpec,
    ModelSpec,
    NoneSpec,
    RunSpec,
    SummarizationSpec,
    TrainingSpec,
    ablation_variants,
    expand,
    load_study,
    variants,
)

# tasks x sizes x seeds x trained variants, and one zero-shot run for each task
COUNTS = {
    "flan-t5-small": 2 * 1 * 5 * 5 + 2,
    "flan-t5-small-low-resource": 2 * 3 * 5 * 5 + 2,
    "smollm2": 2 * 1 * 3 * 4 + 2,
    "quickstart": 2 * 1 * 3 * 4 + 2,
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_packaged_study_has_the_runs_that_its_factors_make(name: str, count: int) -> None:
    runs = expand(load_study(name))
    assert len(runs) == count
    assert len({run.run_id for run in runs}) == count


def test_every_method_of_the_flan_t5_study_has_five_seeds_on_each_task() -> None:
    runs = expand(load_study("flan-t5-small"))
    cells = Counter((run.task_name, run.method_name) for run in runs)
    trained = ("full", "lora", "prefix", "prompt", "prefix-projection=none")
    assert cells == {(task, name): 5 for task in ("sst2", "samsum") for name in trained} | {
        (task, "zero_shot"): 1 for task in ("sst2", "samsum")
    }


def test_runs_come_in_the_order_of_task_size_seed_and_method(tmp_path: Path) -> None:
    runs = expand(small.spec(tmp_path, ["seeds=[7, 3]"]))
    trained = [(run.train_size, run.seed, run.method_name) for run in runs if run.method.kind == "lora"]
    assert trained == list(itertools.product((8, "full"), (7, 3), ("lora", "lora-rank=1")))


def test_an_untrained_method_is_one_run_whatever_the_sizes_and_seeds(tmp_path: Path) -> None:
    runs = expand(small.spec(tmp_path, ["seeds=[7, 3]"]))
    assert [(run.train_size, run.seed) for run in runs if isinstance(run.method, NoneSpec)] == [("full", 7)]


def test_an_ablation_value_equal_to_the_method_is_the_methods_own_run(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    assert [(one.name, one.method) for one in variants(study) if one.name != "zero_shot"] == [
        ("lora", LoraSpec(kind="lora", rank=2, dropout=0.1)),
        ("lora-rank=1", LoraSpec(kind="lora", rank=1, dropout=0.1)),
    ]


def test_several_fields_of_an_ablation_make_their_product(tmp_path: Path) -> None:
    study = small.spec(tmp_path, ["ablations.lora_rank.vary={rank: [1, 2], targets: [[q], all-linear]}"])
    assert [one.name for one in variants(study)] == [
        "zero_shot",
        "lora",
        *(f"lora-rank={rank}-targets={targets}" for rank in (1, 2) for targets in ("q", "all-linear")),
    ]


_WORDING = (
    "ablations={wording: {of: zero_shot, task: films, vary: {prompt: ['{text}', 'Good or bad? {text}']}}}"
)
_TWO_TASKS = (
    "tasks.other={kind: summarization, source: {builtin: dialogues}, prompt: '{dialogue}', target: summary}"
)


def test_a_varied_prompt_is_run_on_its_task_alone_and_the_tasks_own_is_the_method(tmp_path: Path) -> None:
    study = small.spec(tmp_path, [_TWO_TASKS, _WORDING, "methods={zero_shot: {kind: none}}"])
    assert [one.name for one in variants(study)] == ["zero_shot", "zero_shot-prompt=1"]
    assert [one.name for one in ablation_variants(study, study.ablations["wording"])] == [
        "zero_shot-prompt=1",
        "zero_shot",
    ]
    assert [(run.task_name, run.method_name, run.task.prompt) for run in expand(study)] == [
        ("films", "zero_shot", "Good or bad? {text}"),
        ("films", "zero_shot-prompt=1", "{text}"),
        ("other", "zero_shot", "{dialogue}"),
    ]


def test_prompts_and_fields_of_a_method_are_varied_together(tmp_path: Path) -> None:
    vary = "{prompt: ['{text}', 'Good or bad? {text}'], rank: [1, 2]}"
    study = small.spec(tmp_path, [f"ablations={{w: {{of: lora, task: films, vary: {vary}}}}}"])
    names = [one.name for one in ablation_variants(study, study.ablations["w"])]
    assert names == [
        "lora-prompt=1-rank=1",
        "lora-prompt=1-rank=2",
        "lora-prompt=2-rank=1",
        "lora",
    ]


def test_a_varied_prompt_counts_for_its_task_alone_under_the_limit_of_runs(tmp_path: Path) -> None:
    many = ", ".join(f"'{{text}} {number}'" for number in range(60))
    wording = f"ablations={{w: {{of: lora, task: films, vary: {{prompt: [{many}]}}}}}}"
    # on both tasks it would be 2 * 61 * 900, which is more than 100,000
    small.spec(tmp_path, [_TWO_TASKS, wording, "seeds={from: 2, to: 900}", "train_sizes=[8]"])


def test_an_id_is_one_folder_name_whatever_an_ablation_varies(tmp_path: Path) -> None:
    texts = ["../../elsewhere", "x" * 500, "a\n\0b", "é"]
    base = "methods.p={kind: prompt, init: text, init_text: a}"
    study = small.spec(tmp_path, [base, "ablations.t={of: p, vary: {init_text: [TEXTS]}}"])
    ablation = study.ablations["t"].model_copy(update={"vary": {"init_text": tuple(texts)}})
    runs = expand(study.model_copy(update={"ablations": {"t": ablation}}))
    assert len({run.run_id for run in runs}) == len(runs)
    for run in runs:
        assert Path(run.run_id).name == run.run_id
        assert run.run_id.isprintable() and len(run.run_id) < 200


def test_an_id_says_task_method_size_and_seed(tmp_path: Path) -> None:
    ids = sorted(run.run_id.rpartition("-")[0] for run in expand(small.spec(tmp_path)))
    assert ids == [f"{beginning}.s0" for beginning in small.RUNS]


def test_the_settings_of_a_summarization_are_those_of_before_there_were_other_texts() -> None:
    task = SummarizationSpec(
        kind="summarization", source=BuiltinSource(builtin="dialogues"), prompt="{a}", target="t"
    )
    assert list(task.model_dump())[-3:] == ["kind", "max_new_tokens", "num_beams"]
    assert task.metrics == ("rouge",)


_RUN = {
    "task_name": st.sampled_from(["a", "b"]),
    "method_name": st.sampled_from(["a", "b"]),
    "model": st.builds(ModelSpec, id=st.sampled_from(["m", "n"]), revision=st.sampled_from([None, "r"])),
    "task": st.builds(
        SummarizationSpec,
        kind=st.just("summarization"),
        source=st.just(BuiltinSource(builtin="dialogues")),
        prompt=st.sampled_from(["{a}", "{b}"]),
        target=st.just("t"),
        num_beams=st.integers(1, 2),
    ),
    "method": st.builds(
        LoraSpec,
        kind=st.just("lora"),
        learning_rate=st.sampled_from([0.1, 0.1 + 2**-55]),
        targets=st.sampled_from([("q",), ("q", "v"), "all-linear"]),
    ),
    "train_size": st.sampled_from([1, 2, "full"]),
    "seed": st.integers(0, 1),
    "training": st.builds(
        TrainingSpec, max_steps=st.integers(1, 2), warmup_ratio=st.sampled_from([0.0, 1e-9])
    ),
}
_RUNS = st.builds(RunSpec, **_RUN)


@given(one=_RUNS, other=_RUNS)
def test_ids_are_equal_exactly_where_runs_are(one: RunSpec, other: RunSpec) -> None:
    assert (one.run_id == other.run_id) == (one == other)
    assert RunSpec.model_validate_json(one.model_dump_json()).run_id == one.run_id


@given(one=_RUNS, field=st.sampled_from(sorted(_RUN)), data=st.data())
def test_an_id_changes_with_every_field(one: RunSpec, field: str, data: st.DataObject) -> None:
    other = one.model_copy(update={field: data.draw(_RUN[field])})
    assert (one.run_id == other.run_id) == (getattr(one, field) == getattr(other, field))


_IDS = "from tuneoff.spec import *; print(*(run.run_id for run in expand(load_study('quickstart'))))"


@pytest.mark.subprocess
def test_ids_are_the_same_in_every_process() -> None:
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    expected = subprocess.run(
        [sys.executable, "-c", _IDS], env=environment, capture_output=True, text=True, check=True
    )
    assert expected.stdout.split() == [run.run_id for run in expand(load_study("quickstart"))]


def test_equal_variants_of_two_ablations_are_one_under_the_first_label(tmp_path: Path) -> None:
    ablations = "{a: {of: lora, vary: {rank: [1, 2]}}, b: {of: lora, vary: {alpha: [16], rank: [2]}}}"
    study = small.spec(tmp_path, [f"ablations={ablations}", "methods={lora: {kind: lora, rank: 1}}"])
    assert [variant.name for variant in variants(study)] == ["lora", "lora-rank=2"]
    second = ablation_variants(study, study.ablations["b"])
    assert [variant.name for variant in second] == ["lora-rank=2"]


def test_a_task_trains_under_the_studys_settings_but_for_its_own() -> None:
    study = load_study("quickstart", overrides=["tasks.dialogues.training={max_steps: 7}"])
    settings = {run.task_name: run.training for run in expand(study)}
    assert settings["reviews"] == study.training
    assert settings["dialogues"] == study.training.model_copy(update={"max_steps": 7})
