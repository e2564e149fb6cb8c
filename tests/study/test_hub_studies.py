"""Packaged studies of hub data sets: each loads, plans and runs against a hub with invented rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import datasets
import pytest

from helpers.loopback_hub import LoopbackHub
from helpers.warm_process import WarmProcess
from tuneoff import worker_server
from tuneoff.spec import HubSource, load_study, packaged_studies

pytestmark = [pytest.mark.subprocess, pytest.mark.slow]

TEXT, WHOLE = datasets.Value("string"), datasets.Value("int32")
TEXTS = datasets.List(TEXT)
YES_OR_NO = datasets.ClassLabel(names=["False", "True"])
ENTAILMENT = datasets.ClassLabel(names=["entailment", "not_entailment"])
COLUMNS: Mapping[tuple[str, str | None], Mapping[str, object]] = {
    ("nyu-mll/glue", "cola"): {
        "sentence": TEXT,
        "label": datasets.ClassLabel(names=["unacceptable", "acceptable"]),
        "idx": WHOLE,
    },
    ("nyu-mll/glue", "mrpc"): {
        "sentence1": TEXT,
        "sentence2": TEXT,
        "label": datasets.ClassLabel(names=["not_equivalent", "equivalent"]),
        "idx": WHOLE,
    },
    ("nyu-mll/glue", "rte"): {"sentence1": TEXT, "sentence2": TEXT, "label": ENTAILMENT, "idx": WHOLE},
    ("aps/super_glue", "boolq"): {"question": TEXT, "passage": TEXT, "idx": WHOLE, "label": YES_OR_NO},
    ("aps/super_glue", "cb"): {
        "premise": TEXT,
        "hypothesis": TEXT,
        "idx": WHOLE,
        "label": datasets.ClassLabel(names=["entailment", "contradiction", "neutral"]),
    },
    ("aps/super_glue", "copa"): {
        "premise": TEXT,
        "choice1": TEXT,
        "choice2": TEXT,
        "question": TEXT,
        "idx": WHOLE,
        "label": datasets.ClassLabel(names=["choice1", "choice2"]),
    },
    ("aps/super_glue", "rte"): {"premise": TEXT, "hypothesis": TEXT, "idx": WHOLE, "label": ENTAILMENT},
    ("aps/super_glue", "wic"): {
        "word": TEXT,
        "sentence1": TEXT,
        "sentence2": TEXT,
        "start1": WHOLE,
        "start2": WHOLE,
        "end1": WHOLE,
        "end2": WHOLE,
        "idx": WHOLE,
        "label": YES_OR_NO,
    },
    ("EdinburghNLP/xsum", None): {"document": TEXT, "summary": TEXT, "id": TEXT},
    ("knkarthick/dialogsum", None): {"id": TEXT, "dialogue": TEXT, "summary": TEXT, "topic": TEXT},
    ("google/code_x_glue_ct_code_to_text", "ruby"): {
        "id": WHOLE,
        "repo": TEXT,
        "code": TEXT,
        "code_tokens": TEXTS,
        "docstring": TEXT,
        "docstring_tokens": TEXTS,
    },
}
"""The columns that each data set has on the hub, by its id and config."""
ROWS = {"train": 40, "validation": 12, "test": 12}
HIDDEN = ("nyu-mll/glue", "aps/super_glue")
"""Data sets whose test labels are -1."""
OTHERS = ("flan-t5-small", "flan-t5-small-low-resource")
"""Studies of hub data sets whose columns are not listed here."""
STUDIES = [
    name
    for name in packaged_studies()
    if name not in OTHERS
    and any(isinstance(task.source, HubSource) for task in load_study(name).tasks.values())
]
METHODS = "{zero_shot: {kind: none}, lora: {kind: lora, learning_rate: 1e-2}}"


def _value(kind: object, column: str, split: str, row: int, *, hidden: bool) -> object:
    match kind:
        case datasets.ClassLabel():
            return -1 if hidden and split == "test" else row % len(kind.names)
        case datasets.Value() if kind.dtype == "int32":
            return row
        case datasets.Value():
            return f"An invented {column} of {split}, row {row}. It goes on."
        case _:
            return ["invented", column]


def _write(root: Path, id: str) -> Path:
    """Write the data set of an id: its configs as Parquet files, named in the README's head."""
    folder, configs = root / id, []
    for (known, config), columns in COLUMNS.items():
        if known != id:
            continue
        name = config or "default"
        configs.append(
            {
                "config_name": name,
                "data_files": [{"split": split, "path": f"{name}/{split}.parquet"} for split in ROWS],
            }
        )
        (folder / name).mkdir(parents=True)
        for split, count in ROWS.items():
            rows = {
                column: [_value(kind, column, split, row, hidden=id in HIDDEN) for row in range(count)]
                for column, kind in columns.items()
            }
            data = datasets.Dataset.from_dict(rows, features=datasets.Features(dict(columns)))
            data.to_parquet(folder / name / f"{split}.parquet")
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmProcess]:
    """A process that uses the hub, and forks for each test."""
    root = tmp_path_factory.mktemp("repositories")
    folders = {id: _write(root, id) for id in dict.fromkeys(id for id, _ in COLUMNS)}
    modules = ("datasets", "helpers.hub_client", *worker_server.PRELOADED)
    with LoopbackHub(datasets=folders) as hub:
        environment = hub.environment(tmp_path_factory.mktemp("home"))
        with WarmProcess(modules, environment) as client:
            yield client


def test_every_study_of_the_hub_is_tried_here() -> None:
    assert STUDIES == ["code-comments", "dialogsum", "glue", "superglue", "xsum"]


def _command(
    client: WarmProcess, folder: Path, command: str, name: str, changes: Sequence[str]
) -> tuple[int, str]:
    options = (part for change in changes for part in ("--set", change))
    code, out = client.call("helpers.hub_client:command", command, name, *options, folder=folder)
    return code, out


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_plans_and_runs_on_rows_with_the_columns_that_the_hub_has(
    client: WarmProcess, tmp_path: Path, name: str
) -> None:
    study = load_study(name)
    model = "builtin:random-llama" if "SmolLM2" in study.model.id else "builtin:random-bart"
    changes = [f"model.id={model}", "seeds=[0]", "train_sizes=[24]"]
    changes += ["training.eval_steps=2", "training.max_steps=2"]
    for task in study.tasks:
        changes += [f"tasks.{task}.training={{}}", f"tasks.{task}.max_source_length=24"]
    code, planned = _command(client, tmp_path, "plan", name, changes)
    assert code == 0
    assert all(method in planned for method in study.methods)
    code, _ = _command(client, tmp_path, "run", name, [*changes, f"methods={METHODS}"])
    assert code == 0
    decision = json.loads((tmp_path / "results" / name / "report" / "decision.json").read_text())
    assert set(decision) == set(study.tasks)
