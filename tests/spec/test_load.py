"""Study files: what they mean, and how each kind of mistake is expected."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from helpers import small
from tuneoff.errors import StudyError
from tuneoff.spec import (
    ClassificationSpec,
    FilesSource,
    LoraSpec,
    StudySpec,
    dump_study,
    load_study,
    packaged_studies,
)


def _refusal(study: str | Path, *overrides: str) -> str:
    with pytest.raises(StudyError) as caught:
        load_study(str(study), overrides=overrides)
    return str(caught.value)


def _rewritten(folder: Path, old: str, new: str) -> Path:
    assert old in small.STUDY
    return small.study(folder, small.STUDY.replace(old, new))


@pytest.mark.parametrize("name", packaged_studies())
def test_a_packaged_study_is_known_by_its_own_name(name: str) -> None:
    assert load_study(name).name == name


def test_the_study_of_flan_t5_compares_what_it_promises() -> None:
    study = load_study("flan-t5-small")
    assert study.model.id == "google/flan-t5-small"
    assert [task.source.model_dump()["hub"] for task in study.tasks.values()] == [
        "SetFit/sst2",
        "knkarthick/samsum",
    ]
    assert [method.kind for method in study.methods.values()] == ["none", "full", "lora", "prefix", "prompt"]
    assert study.seeds == (0, 1, 2, 3, 4)
    assert study.ablations["prefix_projection"].model_dump() == {
        "of": "prefix",
        "task": None,
        "vary": {"projection": (512, None)},
    }


@pytest.mark.parametrize("name", packaged_studies())
def test_a_dumped_study_loads_to_an_equal_one(tmp_path: Path, name: str) -> None:
    study = load_study(name)
    (tmp_path / "dump.yaml").write_text(dump_study(study), encoding="utf-8")
    assert load_study(str(tmp_path / "dump.yaml")) == study


_ODD = ("1e5", "1", "1.0", "01", "0x1f", "1_000", "1:30", "+1", ".5", "no", "on", "true", "True", "FALSE")
_ODD = (*_ODD, "~", "null", "None", "2026-01-01", "2026-13-45", ".nan", "=", "<<", "é", "名")
_TEXTS = st.one_of(st.text(min_size=1), st.sampled_from(_ODD))


@pytest.mark.parametrize("written", _ODD)
def test_labels_arrive_as_they_are_written(tmp_path: Path, written: str) -> None:
    # a plain << is a key of its own
    key, positive = ("b", "b") if written == "<<" else (written, f"'{written}'")
    labels = f"{{{key}: a {written}, c: {written}}}"
    path = _rewritten(tmp_path, "{0: negative, 1: positive}", f"{labels}\n    positive: {positive}")
    by_file = load_study(str(path)).tasks["films"]
    by_override = load_study(
        str(small.study(tmp_path)),
        overrides=[f"tasks.films.labels={labels}", f"tasks.films.positive={positive}"],
    ).tasks["films"]
    for task in (by_file, by_override):
        assert isinstance(task, ClassificationSpec)
        assert (task.labels, task.positive) == ({key: f"a {written}", "c": written}, key)


@pytest.mark.parametrize("written", ["1", "01", "1.0", "True", "2026-01-01", "0x1F"])
def test_the_positive_label_is_named_as_it_is_written(tmp_path: Path, written: str) -> None:
    overrides = [f"tasks.films.labels={{no: no, {written}: yes}}", f"tasks.films.positive={written}"]
    assert small.spec(tmp_path, overrides).tasks["films"].model_dump()["positive"] == written


def test_labels_are_as_written_in_whole_tasks_aliases_and_merges(tmp_path: Path) -> None:
    labels = "labels: &l {01: 1, True: 0}"
    task = f"{{kind: classification, source: {{builtin: reviews}}, prompt: '{{t}}', target: l, {labels}}}"
    study = small.study(tmp_path, small.STUDY.replace("methods:", f"  one: &one {task}\nmethods:"))
    text = study.read_text(encoding="utf-8")
    two = "  two: {<<: *one, prompt: 'x {t}'}\n  three: {<<: *one, labels: *l}\n"
    study.write_text(text.replace("methods:", f"{two}methods:"), encoding="utf-8")
    tasks = load_study(str(study), overrides=[f"tasks.four={task.replace('&l ', '')}"]).tasks
    for name in ("one", "two", "three", "four"):
        assert tasks[name].model_dump()["labels"] == {"01": "1", "True": "0"}


@pytest.mark.parametrize("labels", ["[negative, 1]", "\n    - negative\n    - 1"])
def test_a_list_of_labels_has_the_texts_for_values(tmp_path: Path, labels: str) -> None:
    path = _rewritten(tmp_path, "{0: negative, 1: positive}", labels)
    assert load_study(str(path)).tasks["films"].model_dump()["labels"] == {"negative": "negative", "1": "1"}


def test_keys_of_other_mappings_are_as_written_too(tmp_path: Path) -> None:
    study = small.spec(tmp_path, ["methods={1e3: {kind: none}, 01: {kind: lora}}", "ablations={}"])
    assert list(study.methods) == ["1e3", "01"]


@pytest.mark.slow
@example(texts=("0", "\x85", "a\u2028b"), rate=1.0)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.tuples(_TEXTS, _TEXTS, _TEXTS), rate=st.floats(min_value=1e-300, max_value=1e300))
def test_no_text_or_number_changes_on_its_way_through_a_file(
    tmp_path: Path, texts: tuple[str, str, str], rate: float
) -> None:
    revision, label, target = texts
    study = small.spec(tmp_path)
    labels = {label: "yes and", f"{label} b": target}
    task = study.tasks["films"].model_copy(update={"target": target, "labels": labels, "positive": label})
    changes = {
        "model": study.model.model_copy(update={"revision": revision}),
        "tasks": {"films": task},
        "methods": {"lora": LoraSpec(kind="lora", learning_rate=rate)},
    }
    study = study.model_copy(update=changes)
    (tmp_path / "dump.yaml").write_text(dump_study(study), encoding="utf-8", newline="\n")
    assert load_study(str(tmp_path / "dump.yaml")) == study


def test_a_power_of_ten_is_a_number(tmp_path: Path) -> None:
    study = small.spec(tmp_path, ["methods.lora.learning_rate=1e-4", "training.weight_decay=5E+0"])
    assert study.methods["lora"].model_dump()["learning_rate"] == 0.0001
    assert study.training.weight_decay == 5.0


def test_yes_and_no_are_words_and_true_and_false_are_not(tmp_path: Path) -> None:
    study = small.spec(tmp_path, ["tasks.films.labels={no: no, on: yes}", "tasks.films.drop_overlap=true"])
    assert study.tasks["films"].model_dump()["labels"] == {"no": "no", "on": "yes"}
    assert study.tasks["films"].drop_overlap is True


def test_methods_may_share_values_by_a_merge_key(tmp_path: Path) -> None:
    path = _rewritten(
        tmp_path,
        "lora: {kind: lora, rank: 2, dropout: 0.1}",
        "lora: &l {kind: lora, rank: 2}\n  b: {<<: *l, alpha: 3}",
    )
    study = load_study(str(path), overrides=["methods.lora.rank=5"])
    assert study.methods["b"] == LoraSpec(kind="lora", rank=2, alpha=3)
    assert study.methods["lora"] == LoraSpec(kind="lora", rank=5)


def test_relative_paths_start_at_the_folder_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inside" / "model").mkdir(parents=True)
    small.study(tmp_path / "inside")
    monkeypatch.chdir(tmp_path)
    overrides = [
        "model.id=model",
        "tasks.films.source.files.test=../test.csv",
        f"tasks.films.source.files.train={tmp_path}/a",
    ]
    study = load_study("inside/study.yaml", overrides=overrides)
    assert study.model.id == (tmp_path / "inside" / "model").resolve().as_posix()
    source = study.tasks["films"].source
    assert isinstance(source, FilesSource)
    assert source.files["validation"] == (tmp_path / "inside" / "validation.csv").resolve().as_posix()
    assert source.files["test"] == (tmp_path / "test.csv").resolve().as_posix()
    assert source.files["train"] == (tmp_path / "a").as_posix()


def test_a_hub_id_is_no_path(tmp_path: Path) -> None:
    assert small.spec(tmp_path, ["model.id=org/name"]).model.id == "org/name"


def test_overrides_change_nested_values_and_add_keys(tmp_path: Path) -> None:
    overrides = [
        "training.max_steps=9",
        "methods.prefix={kind: prefix, sites: [cross]}",
        "tasks.films.labels.0=bad",
        "train_sizes=[3]",
        "training.max_steps=10",
    ]
    study = small.spec(tmp_path, overrides)
    assert study.training.max_steps == 10
    assert study.methods["prefix"].model_dump()["sites"] == ("cross",)
    assert study.tasks["films"].model_dump()["labels"] == {"0": "bad", "1": "positive"}
    assert study.train_sizes == (3,)


def test_a_study_cannot_be_changed(tmp_path: Path) -> None:
    study = small.spec(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        study.training.max_steps = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("methodz={}", "study.yaml: methodz: unknown name 'methodz'; did you mean 'methods'?"),
        ("training.max_stepz=3", "training.max_stepz: unknown name 'max_stepz'; did you mean 'max_steps'"),
        (
            "methods.zero_shot.rank=3",
            "methods.zero_shot.rank: 'rank' is not valid here; it belongs to `kind: lora`",
        ),
        ("training.max_steps=many", "training.max_steps: Input should be a valid integer, but got 'many'"),
        ("training.max_steps=1.5", "training.max_steps: Input should be a valid integer, but got 1.5"),
        ("training.max_steps=0", "training.max_steps: Input should be greater than 0, but got 0"),
        ("methods.lora.rank=true", "methods.lora.rank: Input should be a valid integer, but got True"),
        ("methods.lora.rank='8'", "methods.lora.rank: Input should be a valid integer, but got '8'"),
        ("methods.lora.learning_rate=.nan", "methods.lora.learning_rate: Input should be a finite number"),
        ("methods.lora.dropout=1", "methods.lora.dropout: Input should be less than 1, but got 1"),
        (
            "training.num_train_epochs=1",
            "exactly one of max_steps and num_train_epochs .* max_steps=4, num_train_epochs=1.0",
        ),
        ("training.max_steps=null", "exactly one of max_steps and num_train_epochs .* max_steps=None"),
        (
            "training={max_steps: 4, early_stopping_patience: 2, load_best_model_at_end: false}",
            "early stopping returns to the best weights, .*early_stopping_patience=2 .*at_end=False",
        ),
        ("seeds=[3, 3]", r"seeds: values must not repeat, but got \[3, 3\]"),
        ("seeds=[]", r"seeds: .* at least 1 item .*, but got \[\]"),
        ("seeds=0", "seeds: Input should be a valid array, but got 0"),
        ("train_sizes=[fall]", "train_sizes.0: Input should be 'full', but got 'fall'"),
        ("tasks={}", "tasks: Dictionary should have at least 1 item"),
        ("name=a/b", "name: String should match pattern .*, but got 'a/b'"),
        ("model={}", "model.id: this key is required"),
        ("model=tiny", "model: Input should be an object, but got 'tiny'"),
        ("model.id=''", "model.id: String should have at least 1 character"),
        (
            "model.id=~nobody-of-this-name/a",
            "must be one that this system can resolve, but got '~nobody-of-this-name/a'",
        ),
        (
            'tasks.films.source.files.train="a\\0b"',
            r"must be one that this system can resolve, but got 'a\\x00b'",
        ),
        (
            "methods.lora.kind=loar",
            r"methods.lora.kind: unknown name 'loar'; did you mean 'lora'.* \(known: .*full",
        ),
        ("methods.lora={rank: 2}", "methods.lora: the key 'kind' is required"),
        (
            "methods.p={kind: prefix, sites: [enc]}",
            "methods.p.sites.0: Input should be 'encoder', .*, but got 'enc'",
        ),
        ("methods.p={kind: prefix, sites: [cross, cross]}", "methods.p: sites must not repeat"),
        (
            "methods.p={kind: prefix, init: vocabulary, projection: 4}",
            "got projection=4; use projection: null",
        ),
        (
            "methods.p={kind: prompt, init: text}",
            "init: text and init_text go together, but got init=text, init_text=None",
        ),
        (
            "methods.l={kind: lora, scale_parameter: true}",
            "scale_parameter is a setting of Adafactor, but got optim=adamw_torch; set optim: adafactor",
        ),
        (
            "methods.s={kind: stack, parts: [{kind: lora}, {kind: lora}]}",
            "each kind of method once, but got .*'lora', 'lora'",
        ),
        (
            "methods.s={kind: stack, parts: [{kind: full}, {kind: lora}]}",
            "methods.s.parts.0.kind: unknown name 'full'",
        ),
        ("methods.s={kind: stack, parts: [{kind: lora}]}", "methods.s.parts: .* at least 2 items"),
        (
            "methods.s={kind: stack, parts: [{kind: lora}, {kind: prompt, optim: adafactor}]}",
            "share one optim",
        ),
        (
            "tasks.films.kind=classifcation",
            "tasks.films.kind: unknown name 'classifcation'; did you mean 'classification'",
        ),
        ("tasks.films.source={}", "tasks.films.source: exactly one of the keys hub, files and builtin"),
        ("tasks.films.source={hub: a, builtin: b}", "tasks.films.source: exactly one of the keys hub, files"),
        ("tasks.films.source.files={train: a}", "must name a train and a test file, but test is missing"),
        (
            "tasks.films.source.files.dev=a",
            "source.files.dev: Input should be 'train', 'validation' or 'test'",
        ),
        ("tasks.films.prompt=Good?", "tasks.films.prompt: .* at least one column in braces"),
        ("tasks.films.prompt='{text'", "tasks.films.prompt: a prompt must have matching braces"),
        ("tasks.films.prompt='{}'", "tasks.films.prompt: braces in a prompt must hold a column name"),
        ("tasks.films.prompt='{ {text} }'", "with a single '{' at character 1; double braces that are meant"),
        ("tasks.films.prompt='{{text}}'", "tasks.films.prompt: .* at least one column in braces"),
        ("tasks.films.source={hub: a, splits: {train: x, test: x}}", "splits must name different splits"),
        ("tasks.films.labels={0: a}", "tasks.films.labels: .* at least 2 items"),
        ("tasks.films.labels={0: Good, 1: good}", "labels must have distinct texts"),
        ("tasks.films.positive=2", r"positive must be one of \['0', '1'\], but got '2'"),
        (
            "tasks.films.labels=[bad, good, bad]",
            r"labels: a list .* texts, each once, but got \['bad', 'good'",
        ),
        (
            "tasks.films.labels=[bad, [good]]",
            r"labels: a list .* texts, each once, but got \['bad', \['good'",
        ),
        (
            "tasks.films.labels={0: , 1: good}",
            "labels.0: String should have at least 1 character, but got ''",
        ),
        ("tasks.films.labels={0: a, '0': b}", "an override's value must be valid YAML"),
        ("tasks.films.positive='2'", r"positive must be one of \['0', '1'\], but got '2'"),
        (
            "tasks.films.training={max_step: 3}",
            "tasks.films.training: max_step: unknown name 'max_step'; did you mean 'max_steps'",
        ),
        (
            "tasks.films.training={max_steps: lots}",
            "tasks.films.training: max_steps: Input should be a valid integer",
        ),
        (
            "tasks.films.training={num_train_epochs: 1}",
            "tasks.films.training: exactly one of max_steps and num_train_epochs",
        ),
        (
            "ablations.lora_rank.of=lorra",
            "ablations.lora_rank.of: no method of the study is called 'lorra'; did you mean 'lora'",
        ),
        (
            "ablations.w={of: lora, vary: {prompt: ['{text}']}}",
            "ablations.w: vary: prompt and task go together",
        ),
        (
            "ablations.w={of: lora, task: film, vary: {prompt: ['{text}']}}",
            "ablations.w.task: no task of the study is called 'film'; did you mean 'films'",
        ),
        (
            "ablations.w={of: lora, task: films, vary: {prompt: ['{text}{label}']}}",
            "ablations.w.vary.prompt: a prompt must have the columns of the task's own",
        ),
        (
            "ablations.lora_rank.vary={rankk: [1]}",
            "ablations.lora_rank.vary: rankk: unknown name 'rankk'; did you mean 'rank'",
        ),
        (
            "ablations.lora_rank.vary={rank: [1, a]}",
            "ablations.lora_rank.vary: rank: Input should be a valid integer",
        ),
        (
            "ablations.lora_rank.vary={rank: 1}",
            "ablations.lora_rank.vary.rank: Input should be a valid array, but got 1",
        ),
        (
            "ablations.1={of: lora, vary: {rank: [0]}}",
            "ablations.1.vary: rank: Input should be greater than 0",
        ),
        ("seeds", r"an override has the form path=value, but got 'seeds' \(--set seeds=\[0,1\]\)"),
        ("=3", "an override has the form path=value, but got '=3'"),
        ("train_sizes.0=1", "must lead through mappings, but 'train_sizes' in 'train_sizes.0' is a value"),
        ("seeds=[", r"an override's value must be valid YAML, but got 'seeds=\['"),
    ],
)
def test_a_wrong_value_is_reported_with_its_place_and_the_rule(
    tmp_path: Path, override: str, expected: str
) -> None:
    assert re.search(expected, _refusal(small.study(tmp_path), override))


def test_all_wrong_values_are_reported_at_once(tmp_path: Path) -> None:
    lines = _refusal(small.study(tmp_path), "seeds=[-1]", "methods.lora.rank=0").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["methods.lora.rank", "seeds.0"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "must be a mapping of keys to values, but study.yaml holds nothing"),
        ("- a", "holds a list"),
        ("name: [", "must be valid YAML: study.yaml: .*line 1"),
        ("name: a\nname: b", "duplicate key 'name'"),
        ("a: {0: x, '0': y}", "duplicate key '0'"),
        ("!!python/object/apply:os.getcwd []", "must be valid YAML"),
        ("2024-01-01: a", "2024-01-01: unknown name '2024-01-01'"),
        ("? [a]\n: b", "must be valid YAML"),
        ("a: &a [*a]", "must be valid YAML: .*[Cc]ircular"),
        ("[" * 5000, "must be valid YAML: .*more than 100 levels"),
        (f"a: {'9' * 5000}", "must be valid YAML: .*digits"),
        (b"name: caf\xe9", "must be readable UTF-8 text"),
    ],
)
def test_a_file_that_holds_no_study_is_refused(tmp_path: Path, content: str | bytes, expected: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert re.search(expected, _refusal(path), re.DOTALL)


@pytest.mark.parametrize("name", ["flan-t5-smal", "absent.yaml", ".", "", "a\0b"])
def test_a_study_that_is_not_there_gets_the_packaged_ones(name: str) -> None:
    assert re.search("there is no file .*known: code-comments, .*quickstart", _refusal(name))


def test_a_packaged_name_with_a_slip_gets_near_matches() -> None:
    assert "did you mean 'flan-t5-small'" in _refusal("flan-t5-smal")


def test_a_name_longer_than_any_file_name_is_named() -> None:
    assert "a study file must be readable" in _refusal("x" * 5000)


@pytest.mark.subprocess
def test_specs_are_read_without_torch() -> None:
    check = "import sys, tuneoff.spec; sys.exit(bool({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_study_is_what_its_file_says(tmp_path: Path) -> None:
    assert isinstance(small.spec(tmp_path), StudySpec)
    assert small.spec(tmp_path).methods["lora"] == LoraSpec(kind="lora", rank=2, dropout=0.1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seeds={from: 1, to: 6}"], "seeds.from: Input should be greater than or equal to 2, but got 1"),
        (
            ["seeds={from: 3, to: 3}"],
            "seeds: `from < to` must hold, but got from=3, to=3; for a fixed number",
        ),
        (["seeds={from: 5, to: 3}"], "seeds: `from < to` must hold, but got from=5, to=3"),
        (["seeds={from: 3, to: 1001}"], "seeds.to: Input should be less than or equal to 1000, but got 1001"),
        (["seeds={from: 3, to: 100000000000}"], "seeds.to: Input should be less than or equal to 1000"),
        (["seeds={from: 3}"], "seeds.to: this key is required"),
        (["seeds={from: 2.5, to: 5}"], "seeds.from: Input should be a valid integer, but got 2.5"),
        (["seeds={frm: 3, to: 5}"], "seeds.frm: unknown name 'frm'; did you mean 'from'"),
        (["seeds={fewest: 3, to: 5}"], "seeds.fewest: unknown name 'fewest'"),
        (["seeds=[a]"], "seeds.0: Input should be a valid integer, but got 'a'"),
        (["budget={hours: 2}"], "budget: it bounds a race, so `seeds` must be a range"),
        (["seeds={from: 3, to: 5}", "budget={hours: 0}"], "budget.hours: Input should be greater than 0"),
        (["seeds={from: 3, to: 5}", "budget={days: 1}"], "budget.hours: this key is required"),
        (["seeds={from: 3, to: 5}", "budget=2"], "budget: Input should be an object, but got 2"),
    ],
)
def test_a_race_with_a_mistake_is_refused(tmp_path: Path, overrides: list[str], message: str) -> None:
    assert message in _refusal(small.study(tmp_path), *overrides)


def test_a_race_may_not_have_too_many_runs(tmp_path: Path) -> None:
    sizes = f"train_sizes={list(range(1, 60))}"
    message = _refusal(small.study(tmp_path), "seeds={from: 3, to: 1000}", sizes)
    assert "a study may have at most 100,000 runs" in message


def test_the_end_of_a_race_can_be_raised_by_itself(tmp_path: Path) -> None:
    study = load_study(str(small.study(tmp_path)), overrides=["seeds={from: 3, to: 5}", "seeds.to=8"])
    assert study.all_seeds == tuple(range(8))
    assert study.race is not None and study.race.looks == (3, 5, 8)
