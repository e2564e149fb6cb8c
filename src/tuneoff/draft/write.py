"""The text of a drafted study: every choice with its reason beside it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneoff.draft.guess import Guess
from tuneoff.draft.look import Look
from tuneoff.draft.suit import Tokens
from tuneoff.phrases import plural
from tuneoff.spec import SCHEMA_FILE, FilesSource, HubSource, flow_yaml

_TRIALS = 6
_AROUND = 10.0
"""A searched rate lies between a tenth and the tenfold of the usual one."""


@dataclass(frozen=True)
class Draft:
    """All that a drafted study says."""

    name: str
    model: str
    look: Look
    guess: Guess
    labels: Mapping[str, str]
    prompt: str
    tokens: Tokens
    methods: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Any]
    max_eval_samples: int
    max_predict_samples: int
    seeds: Sequence[int]
    remarks: Mapping[str, str]
    """Comments: by the name of a method, or `total`."""


def written(draft: Draft, folder: Path) -> str:
    """Return the study as YAML, for a file in the folder; files below it are named relative to it."""
    guess, tokens = draft.guess, draft.tokens
    task = [
        f"kind: {guess.kind}",
        f"# {_rows(draft)}",
        f"source: {flow_yaml(_source(draft.look, folder))}",
        "# what the model reads, with the columns in braces; worth trying in other words",
        f"prompt: {flow_yaml(draft.prompt)}",
        f"target: {flow_yaml(guess.target.name)}",
    ]
    if guess.kind == "classification":
        task += [
            "# from the value in the file to the text that stands for it; give words that say what is meant",
            f"labels: {flow_yaml(dict(draft.labels))}",
        ]
    elif guess.kind == "generation":
        task.append("metrics: [rouge, exact_match]")
    task += [
        f"# in tokens; the longest input has {tokens.longest_source:,}, the longest target "
        f"{tokens.longest_target:,}",
        f"max_source_length: {tokens.source}",
        f"max_target_length: {tokens.target}",
    ]
    if guess.kind != "classification":
        task.append(f"max_new_tokens: {tokens.target}")
    task += [
        "# rows that are scored in training, and at the end",
        f"max_eval_samples: {draft.max_eval_samples}",
        f"max_predict_samples: {draft.max_predict_samples}",
    ]
    methods = [
        _beside(f"{name}: {flow_yaml(dict(method))}", draft.remarks.get(name))
        for name, method in draft.methods.items()
    ]
    training = [f"{name}: {flow_yaml(value)}" for name, value in draft.training.items()]
    return "\n".join(
        [
            f"# yaml-language-server: $schema={SCHEMA_FILE}",
            "# Drafted by `tuneoff new`. `tuneoff plan` says what it will take, `tuneoff run` does it.",
            f"name: {flow_yaml(draft.name)}",
            f"model: {{id: {flow_yaml(_model(draft.model, folder))}}}",
            "tasks:",
            f"  {draft.name}:",
            *(f"    {line}" for line in task),
            "methods:",
            *(f"  {line}" for line in methods),
            f"# {draft.remarks['total']}",
            f"seeds: {flow_yaml(list(draft.seeds))}",
            "training:",
            *(f"  {line}" for line in training),
            "# rates were not searched for this data; to have them searched, on validation, before the runs:",
            *(f"# {line}" for line in _search(draft)),
            "",
        ]
    )


def _search(draft: Draft) -> list[str]:
    """Return the lines of a search for each method's rate, around the one that is usual for it."""
    rates = {name: method.get("learning_rate") for name, method in draft.methods.items()}
    return [
        "search:",
        f"  trials: {_TRIALS}",
        f"  max_steps: {draft.training['max_steps'] // 2}",
        "  spaces:",
        *(
            f"    {name}: {{learning_rate: [{rate / _AROUND:.1e}, {rate * _AROUND:.1e}, log]}}"
            for name, rate in rates.items()
            if rate
        ),
    ]


def _rows(draft: Draft) -> str:
    counts = ", ".join(f"{plural(rows, 'row')} in {split}" for split, rows in draft.look.splits.items())
    source = draft.look.source
    share = getattr(source, "test_share", None)
    return f"{counts}; {share:.0%} of them, always the same, are the test split" if share else counts


def _source(look: Look, folder: Path) -> dict[str, Any]:
    source = look.source
    if isinstance(source, FilesSource):
        files: dict[str, Any] = {
            "files": {split: _relative(path, folder) for split, path in source.files.items()}
        }
        return files | ({"test_share": source.test_share} if source.test_share else {})
    assert isinstance(source, HubSource)
    return source.model_dump(exclude_defaults=True)


def _relative(path: str, folder: Path) -> str:
    return os.path.relpath(path, folder) if Path(path).is_relative_to(folder) else path


def _model(model: str, folder: Path) -> str:
    return _relative(model, folder) if Path(model).is_absolute() else model


def _beside(line: str, remark: str | None) -> str:
    return f"{line}  # {remark}" if remark else line
