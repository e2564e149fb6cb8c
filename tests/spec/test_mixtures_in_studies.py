"""Mixtures in a study file: the runs that they add, and what is refused."""

from pathlib import Path

import pytest

from helpers import small
from tuneoff.errors import StudyError
from tuneoff.spec import expand, load_study, searches, variants
from tuneoff.spec import plan as planning
from tuneoff.spec.load import dump_study

TONE = (
    "tasks.tone={kind: classification, source: {builtin: reviews}, prompt: '{text}', target: label, "
    "labels: {0: bad, 1: good}, training: {max_steps: 99}}"
)
BOTH = (TONE, "mixtures={both: {of: [films, tone], cap: 6}}")
GUIDE = Path(__file__).parents[2] / "docs" / "writing_a_study.md"
SEARCH = "search={trials: 2, seeds: [7], space: {learning_rate: [1e-4, 1e-2, log]}}"


def mixed(folder: Path, *overrides: str, of: tuple[str, ...] = BOTH):
    return small.spec(folder, [*of, *overrides])


def test_every_method_that_trains_has_a_run_on_each_task_of_a_mixture(tmp_path: Path) -> None:
    study = mixed(tmp_path, "train_sizes=[8]", "seeds=[0, 1]")
    runs = [(run.task_name, run.method_name, run.seed) for run in expand(study) if run.mixture]
    assert sorted(runs) == [(task, "lora@both", seed) for task in ("films", "tone") for seed in (0, 1)]
    assert [one.name for one in variants(study)] == ["zero_shot", "lora", "lora@both", "lora-rank=1"]


def test_the_runs_of_a_mixture_share_all_but_their_task(tmp_path: Path) -> None:
    films, tone = [run for run in expand(mixed(tmp_path, "train_sizes=[8]")) if run.mixture]
    assert films.trained_by is None
    assert tone.trained_by == films
    assert films.members == tone.members == (films, tone)
    assert films.training.max_steps == 4  # the study's, and not the 99 of one of its tasks


def test_a_mixture_has_training_settings_of_its_own(tmp_path: Path) -> None:
    study = mixed(tmp_path, "mixtures.both.training={max_steps: 7}")
    assert {run.training.max_steps for run in expand(study) if run.mixture} == {7}


def test_runs_on_one_task_alone_stay_what_they_were_and_those_of_a_mixture_are_known_by_it(
    tmp_path: Path,
) -> None:
    before = {run.run_id for run in expand(mixed(tmp_path, of=(TONE,)))}
    plans = [expand(mixed(tmp_path)), expand(mixed(tmp_path, "mixtures.both.cap=5"))]
    ids = [{run.run_id for run in plan} for plan in plans]
    keys = [{run.settings_key for run in plan if run.mixture} for plan in plans]
    assert ids[0] & ids[1] == before
    assert not keys[0] & keys[1]


def test_where_the_data_of_a_mixture_lie_does_not_decide_which_run_it_is(tmp_path: Path) -> None:
    study = mixed(tmp_path)
    (tmp_path / "moved").mkdir()
    moved = mixed(tmp_path / "moved")
    keys = [[run.settings_key for run in expand(one) if run.mixture] for one in (study, moved)]
    assert keys[0] == keys[1]
    assert expand(study)[0].task.source != expand(moved)[0].task.source


def test_the_order_of_a_mixtures_tasks_means_nothing(tmp_path: Path) -> None:
    plans = [
        expand(mixed(tmp_path, f"mixtures.both.of=[{tasks}]")) for tasks in ("films, tone", "tone, films")
    ]
    assert plans[0] == plans[1]


def test_only_the_methods_that_a_mixture_names_are_tuned_on_it(tmp_path: Path) -> None:
    methods = "methods={full: {kind: full}, lora: {kind: lora}}"
    study = mixed(tmp_path, methods, "ablations={}", "mixtures.both.methods=[full]")
    assert {run.method_name for run in expand(study) if run.mixture} == {"full@both"}
    assert list(study.methods_on("films")) == ["full", "lora", "full@both"]


def test_a_task_outside_a_mixture_has_no_run_of_it(tmp_path: Path) -> None:
    third = TONE.replace("tasks.tone", "tasks.other")
    study = mixed(tmp_path, third)
    assert {run.task_name for run in expand(study) if run.mixture} == {"films", "tone"}
    assert list(study.methods_on("other")) == ["zero_shot", "lora"]


def test_a_mixture_is_searched_once_and_all_its_tasks_take_what_was_chosen(tmp_path: Path) -> None:
    study = mixed(tmp_path, SEARCH, "ablations={}", "train_sizes=[8]")
    found = [search for search in searches(study) if search.run.mixture]
    assert [search.run.task_name for search in found] == ["films"]
    runs = [run for run in expand(study, {found[0].search_id: {"learning_rate": 0.005}}) if run.mixture]
    assert [run.method.model_dump()["learning_rate"] for run in runs] == [0.005, 0.005]
    assert runs[1].trained_by == runs[0]


def test_the_ranges_of_a_method_are_those_of_its_search_on_a_mixture(tmp_path: Path) -> None:
    ranges = "search.spaces={lora: {learning_rate: [0.01, 0.1, log]}}"
    study = mixed(tmp_path, SEARCH, ranges, "ablations={}")
    assert {search.space["learning_rate"] for search in searches(study)} == {(0.01, 0.1, "log")}


def test_the_runs_of_mixtures_count_towards_the_most_that_a_study_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = mixed(tmp_path, "seeds=[0, 1]", "ablations={}")
    monkeypatch.setattr(planning, "MOST_RUNS", len(expand(study)))
    planning.check_size(study)
    monkeypatch.setattr(planning, "MOST_RUNS", len(expand(study)) - 1)
    with pytest.raises(StudyError, match=f"this one has {len(expand(study))} "):
        planning.check_size(study)


def test_the_example_in_the_docs_has_the_runs_that_they_promise(tmp_path: Path) -> None:
    _, _, section = GUIDE.read_text(encoding="utf-8").partition("## Mixtures of tasks")
    (tmp_path / "study.yaml").write_text(section.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    runs = [run for run in expand(load_study(str(tmp_path / "study.yaml"))) if run.mixture]
    names = {(run.task_name, run.method_name, run.training.max_steps) for run in runs}
    assert names == {
        (task, name, steps)
        for task in ("reviews", "dialogues")
        for name, steps in (("lora@both", 300), ("prompt@both", 300), ("lora@evenly", 600))
    }
    assert len(runs) == len(names) * 3


def test_a_dumped_study_keeps_its_mixtures(tmp_path: Path) -> None:
    study = mixed(tmp_path)
    (tmp_path / "dump.yaml").write_text(dump_study(study), encoding="utf-8")
    assert load_study(str(tmp_path / "dump.yaml")) == study


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mixtures.both.of=[films, tune]", "mixtures.both.of: no task of the study is called 'tune'.*'tone'"),
        ("mixtures.both.of=[films]", "mixtures.both.of: a mixture is of two tasks or more.* but got"),
        ("mixtures.both.of=[films, films]", "mixtures.both.of: .*each named once, but got"),
        ("mixtures.both.of=[]", "mixtures.both.of: a mixture is of two tasks or more"),
        ("mixtures.both.methods=[zero_shot]", "mixtures.both.methods: no method .* called 'zero_shot'"),
        ("mixtures.both.methods=[lora-rank=1]", "mixtures.both.methods"),
        ("mixtures.both.rate=often", "mixtures.both.rate: .*'often'"),
        ("mixtures.both.cap=0", "mixtures.both.cap: .*0"),
        ("mixtures.both.task=films", "mixtures.both.task: 'task' is not valid here"),
        ("mixtures.both.training={max_step: 3}", "mixtures.both.training: max_step: "),
        ("mixtures.both.training={save_strategy: 'no'}", "mixtures.both: .*save_strategy: no; remove"),
        ("training.save_strategy='no'", "mixtures.both: .*save_strategy: no; remove"),
        ("methods={zero_shot: {kind: none}}", "mixtures.both: no method of the study trains anything"),
        ("seeds={from: 3, to: 6}", "mixtures: .* range of a race; give a list of seeds"),
        ("ablations.a={of: lora@both, vary: {rank: [1]}}", "ablations.a.of: "),
        ("comparison.references=[lora@both]", "comparison.references"),
    ],
)
def test_what_cannot_be_mixed_is_refused_in_a_line_that_names_its_place(
    tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(StudyError, match=message) as refused:
        mixed(tmp_path, "ablations={}", override)
    assert "\n" not in str(refused.value)
