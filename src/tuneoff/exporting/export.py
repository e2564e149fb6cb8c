"""Write a run's tuned model for other tools, with its tokenizer, a model card and what its task needs."""

import shutil
from copy import copy
from pathlib import Path
from typing import Literal, get_args

from tuneoff.errors import StoreError, UnfitError, writing
from tuneoff.exporting.card import card
from tuneoff.exporting.template import prompt_template
from tuneoff.exporting.to_peft import write_peft
from tuneoff.methods import checkpoint
from tuneoff.reporting import load_report_data
from tuneoff.results import RunRecord, StudyFolder, find_run
from tuneoff.results.format import read_json
from tuneoff.results.store import write_atomically
from tuneoff.spec import ClassificationSpec, NoneSpec, RunSpec
from tuneoff.training import TunedModel, load_tuned

Format = Literal["peft", "merged", "tuneoff"]


def export_run(run: Path, folder: Path, *, to: Format, model: str | None = None) -> None:
    """Write the tuned model of a run into a new folder.

    `run` is as `find_run` takes it; `model` is where the base model is now, if it has moved.

    Raises:
        StoreError: the folder exists or cannot be written, the run has no weights, or the format cannot hold
            its method.
        ModelError: the base model cannot be loaded.
    """
    if to not in get_args(Format):
        raise StoreError(f"a format must be one of {', '.join(get_args(Format))}, but got '{to}'")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"'{folder}' exists; give a new folder with --to")
    source = find_run(run)
    record, _ = read_json(RunRecord, source.record)
    if isinstance(record.spec.method, NoneSpec):
        raise StoreError("nothing was trained in this run, so there is nothing to export; use the base model")
    tuned = load_tuned(run, model=model)
    base = model or record.spec.model.id
    study = source.path.parent.parent
    data = load_report_data(study) if StudyFolder(study).study.is_file() else None
    encodes = tuned.model.config.is_encoder_decoder
    # written beside, and moved when it is whole
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with writing(folder):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            _write_model(tuned, record.weights_folder(source).adapter, unfinished, to=to, base=base)
            _write_tokenizer(tuned, unfinished)
            write_atomically(unfinished / "task.json", _task(record.spec))
            text = card(record, data, base=base, format_name=to, encodes=encodes, folder=folder)
            write_atomically(unfinished / "README.md", text)
            if folder.exists():
                folder.rmdir()
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _write_model(tuned: TunedModel, adapter: Path, folder: Path, *, to: Format, base: str) -> None:
    match to:
        case "peft":
            write_peft(tuned.adapted, base, folder)
        case "merged":
            try:
                tuned.adapted.merge()
            except UnfitError as error:
                raise StoreError(f"{error}; take --format tuneoff, which holds every method") from error
            if isinstance(tuned.run.task, ClassificationSpec):
                tuned.model.config.id2label = dict(enumerate(tuned.run.task.labels.values()))
            tuned.model.save_pretrained(folder)
        case "tuneoff":
            checkpoint.copy(adapter, folder)


def _write_tokenizer(tuned: TunedModel, folder: Path) -> None:
    """Write the tokenizer; that of a model which continues its input has the prompt as its chat template."""
    tokenizer, run = copy(tuned.tokenizer), tuned.run
    if not tuned.model.config.is_encoder_decoder and run.model.template == "plain":
        template = prompt_template(tokenizer, run.task.prompt)
        if template is not None:
            tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)


def _task(spec: RunSpec) -> str:
    """Return the task as JSON, without where its rows are: prompt, labels and limits."""
    return spec.task.model_dump_json(exclude={"source", "training"}, indent=2) + "\n"
