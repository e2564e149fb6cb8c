"""From a user's data to a study that suits it, the model and the machine."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuneoff.draft.guess import Guess
from tuneoff.draft.look import Look
from tuneoff.draft.suit import Tokens, count_tokens, suggested_prompt, suited_methods
from tuneoff.draft.write import Draft, written
from tuneoff.phrases import plural
from tuneoff.reporting.formatting import duration
from tuneoff.spec import RunSpec, StudySpec, expand, load_study
from tuneoff.spec.yaml import parse_yaml
from tuneoff.study import MethodCosts, measure_costs
from tuneoff.training import Backbone, Session

_LABEL_TEXTS = {"sentiment": {"0": "negative", "1": "positive"}}
"""What numbers mean where a column has this name."""
_SEEDS = (0, 1, 2)
_EPOCHS = 3
_FEWEST_STEPS, _MOST_STEPS = 60, 2000


def label_texts(guess: Guess) -> dict[str, str]:
    """Return a text for each label: the value itself, or what a number usually means in such a column."""
    usual = _LABEL_TEXTS.get(guess.target.name.lower(), {})
    return {value: usual[value] if usual.keys() == set(guess.labels) else value for value in guess.labels}


def draft_study(
    look: Look,
    guess: Guess,
    backbone: Backbone,
    *,
    name: str,
    model: str,
    minutes: float,
    prompt: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Draft:
    """Return a study of the data that takes about this many minutes on this machine.

    Raises:
        InputError: the data cannot be used.
    """
    labels = labels or label_texts(guess)
    generates = guess.kind != "classification"
    instructed = backbone.family.encoder is not None
    prompt = prompt or suggested_prompt(guess, instructed=instructed, labels=labels)
    session = Session()
    draft = Draft(
        name=name,
        model=model,
        look=look,
        guess=guess,
        labels=labels,
        prompt=prompt,
        tokens=Tokens(1024, 256, 0, 0, 0.0, 0.0, ""),  # until the rows have been read with the prompt
        methods=suited_methods(backbone),
        training=_training(_FEWEST_STEPS, batch=8 if generates else 16),
        max_eval_samples=16 if generates else 100,
        max_predict_samples=100 if generates else 1000,
        seeds=_SEEDS,
        remarks={"total": ""},
    )
    rows = session.task_data(as_study(draft).tasks[name]).train
    return _timed(replace(draft, tokens=count_tokens(backbone, rows)), minutes, session)


def as_study(draft: Draft) -> StudySpec:
    """Return the study that a draft is written as."""
    return load_study(parse_yaml(written(draft, Path.cwd())))


def _training(steps: int, *, batch: int) -> dict[str, Any]:
    return {
        **_length(steps),
        "per_device_train_batch_size": batch,
        "lr_scheduler_type": "linear",
        "warmup_ratio": 0.1,
    }


def _length(steps: int) -> dict[str, int]:
    return {"max_steps": steps, "eval_steps": -(-steps // 4)}


def _timed(draft: Draft, minutes: float, session: Session) -> Draft:
    """Choose the number of steps by what each method costs here, and say what each takes."""
    study = as_study(draft)
    runs = expand(study)
    measured = measure_costs(runs, session)
    runs = tuple(run for run in runs if run.method_name not in measured.unfit)
    batch = study.training.per_device_train_batch_size
    rows = len(session.task_data(study.tasks[draft.name]).train)
    most = min(max(_EPOCHS * rows // batch, _FEWEST_STEPS), _MOST_STEPS)
    least_time, most_time = (_seconds(runs, measured, steps, rows) for steps in (_FEWEST_STEPS, most))
    # times are linear in the steps, as the number of evaluations does not change
    share = (60 * minutes - least_time) / (most_time - least_time) if most_time > least_time else 1.0
    steps = round(_FEWEST_STEPS + min(max(share, 0.0), 1.0) * (most - _FEWEST_STEPS))
    remarks = {
        run.method_name: f"{duration(_seconds((run,), measured, steps, rows))} a run"
        for run in reversed(runs)
    }
    total = _seconds(runs, measured, steps, rows)
    remarks["total"] = f"{plural(len(runs), 'run')}, about {duration(total)} on this machine"
    if total > 66 * minutes:
        remarks["total"] += (
            f", more than the {minutes:g} minutes asked for: drop methods, or take a smaller model"
        )
    for name, reason in measured.unfit.items():
        remarks["total"] += f"; without {name}: {reason}"
    return replace(
        draft,
        methods={name: draft.methods[name] for name in draft.methods if name not in measured.unfit},
        training=_training(steps, batch=batch),
        remarks=remarks,
    )


def _seconds(runs: Sequence[RunSpec], measured: MethodCosts, steps: int, rows: int) -> float:
    """Estimate the time of runs of this many steps."""
    length = _length(steps)
    return sum(
        measured.costs[run.task_name, run.method_name].seconds(
            run.model_copy(update={"training": run.training.model_copy(update=length)}), rows
        )
        for run in runs
    )
