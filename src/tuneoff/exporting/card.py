"""The model card of an exported model: how to use it, how well it does, and what it was made from."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tuneoff.errors import visible
from tuneoff.phrases import listed, plural
from tuneoff.reporting import ReportData
from tuneoff.reporting.formatting import decimal, span
from tuneoff.reporting.markdown import escaped
from tuneoff.results import RunRecord, metric_name
from tuneoff.spec import BUILTIN, ClassificationSpec, HubSource, ModelSpec, RunSpec, Task, tuned_parts
from tuneoff.stats import Cell

_LOADING = {
    "peft": """from peft import PeftModel
from transformers import {auto}, AutoTokenizer

model = PeftModel.from_pretrained({auto}.from_pretrained({base}), {folder})
tokenizer = AutoTokenizer.from_pretrained({folder})""",
    "peft, builtin": """from peft import PeftModel
from transformers import AutoTokenizer
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone

model = PeftModel.from_pretrained(load_backbone(ModelSpec(id={base})).model, {folder})
tokenizer = AutoTokenizer.from_pretrained({folder})""",
    "merged": """from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained({folder})
tokenizer = AutoTokenizer.from_pretrained({folder})""",
    "tuneoff": """from pathlib import Path

from tuneoff.methods import load
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone

backbone = load_backbone(ModelSpec(id={base}{settings}))
model, tokenizer = load(backbone.model, Path({folder})).model, backbone.tokenizer""",
}
_AUTO = {True: "AutoModelForSeq2SeqLM", False: "AutoModelForCausalLM"}


def card(
    record: RunRecord, data: ReportData | None, *, base: str, format_name: str, encodes: bool, folder: Path
) -> str:
    """Return a model card: YAML that hubs read, and text.

    `data` are the results of the run's study, for the interval over its seeds; None if it stands alone.
    """
    spec = record.spec
    title = f"{Path(base).name or base} tuned on {spec.task_name} ({spec.method_name})"
    parts = [part.in_words() for part in tuned_parts(spec.method)]
    builtin = base.startswith(BUILTIN)  # of tuneoff; no other library finds it
    code = _LOADING["peft, builtin" if builtin and format_name == "peft" else format_name].format(
        auto=_AUTO[encodes], base=_text(base), folder=_text(folder.name), settings=_settings(spec.model)
    )
    lines = [
        "---",
        yaml.safe_dump(_metadata(record, title, base, format_name, encodes), sort_keys=False).strip(),
        "# license: name one; the base model's and the data's terms count",
        "---",
        f"# {escaped(title)}",
        escaped(f"Made by tuneoff, which {'; it also '.join(parts)}." if parts else "Made by tuneoff."),
        "",
        "## Use",
        f"```python\n{code}\n```",
        *_prompt(spec.task),
        "",
        "## Scores",
        *_scores(record, data),
        "",
        "## Made from",
        f"- Base model: {_code(base)}{_identity(record)}{_quantization(spec.model)}",
        *_mixture(spec),
        *(f"- {escaped(split)} rows, SHA-256: {_code(one)}" for split, one in _digests(record).items()),
        f"- Run: {_code(record.run_id)}, seed {spec.seed}, train size {spec.train_size}",
        "",
    ]
    return "\n".join(lines)


def _metadata(record: RunRecord, title: str, base: str, format_name: str, encodes: bool) -> dict[str, Any]:
    spec = record.spec
    source = spec.task.source
    name = source.hub if isinstance(source, HubSource) else spec.task_name
    metrics = [
        {"type": field.removeprefix("eval_"), "value": value, "name": f"{metric_name(field)} (test)"}
        for field, value in record.scores.items()
        if field != "eval_loss"
    ]
    return {
        **({} if base.startswith(BUILTIN) else {"base_model": base}),
        "library_name": {"merged": "transformers"}.get(format_name, format_name),
        "pipeline_tag": "text2text-generation" if encodes else "text-generation",
        "tags": ["tuneoff", *(part.kind for part in tuned_parts(spec.method))],
        "model-index": [
            {
                "name": title,
                "results": [
                    {
                        "task": {"type": spec.task.kind},
                        "dataset": {"name": spec.task_name, "type": name},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }


def _mixture(spec: RunSpec) -> list[str]:
    """Say which tasks the model was tuned on, if these are several."""
    if spec.mixture is None:
        return []
    tasks = listed(spec.mixture.tasks)
    return [f"- Tasks of the one training: {tasks}; scores and template are those of {spec.task_name}"]


def _prompt(task: Task) -> list[str]:
    """Say what the model reads and answers."""
    prompt = visible(task.prompt)
    fence = _longer_than_any_in(prompt, least=3)
    said = [
        "",
        "Inputs are made from this template, with the row's columns in braces:",
        f"{fence}\n{prompt}\n{fence}",
    ]
    if isinstance(task, ClassificationSpec):
        pairs = ", ".join(f"{_code(text)} for {escaped(value)}" for value, text in task.labels.items())
        said.append(f"Answers: {pairs}; the one with the highest likelihood counts. `task.json` has them.")
    return said


def _scores(record: RunRecord, data: ReportData | None) -> list[str]:
    metric = record.spec.task.main_metric
    found = [f"- This run, on the test split: {metric_name(metric)} {decimal(record.scores[metric])}"]
    cell = Cell(record.spec.task_name, record.spec.method_name, record.spec.train_size)
    interval = data.judgement.intervals.get(cell) if data else None
    if interval is not None:
        found.append(
            f"- The method, over {plural(interval.seeds, 'seed')}: {decimal(interval.mean)}, 95% interval "
            f"{span(interval.low, interval.high)}"
        )
    return found


def _identity(record: RunRecord) -> str:
    if record.model is None:
        return ""
    if record.model.commit:
        return f", commit {_code(record.model.commit)}"
    return f", SHA-256 {_code(str(record.model.digest))}"


def _settings(model: ModelSpec) -> str:
    """Return the arguments of a `ModelSpec` that follow its id."""
    return f', quantization="{model.quantization}"' if model.quantization else ""


def _quantization(model: ModelSpec) -> str:
    return f", its linear layers but the head quantized ({model.quantization})" if model.quantization else ""


def _digests(record: RunRecord) -> dict[str, str]:
    own = record.data.digests if record.data else {}
    others = {name: share.digests for name, share in record.shares.items() if name != record.spec.task_name}
    return own | {f"{name} {split}": one[split] for name, one in others.items() for split in one}


def _text(value: str) -> str:
    """Return a text as Python reads it."""
    return visible(json.dumps(value, ensure_ascii=False))


def _code(value: str) -> str:
    """Return a text as code within a line of Markdown."""
    line = visible(" ".join(value.split()))
    marks = _longer_than_any_in(line)
    return f"{marks} {line} {marks}" if "`" in line else f"{marks}{line}{marks}"


def _longer_than_any_in(text: str, *, least: int = 1) -> str:
    """Return more backticks than stand together anywhere in a text."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
