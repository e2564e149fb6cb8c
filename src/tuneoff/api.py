"""The Python API, which `import tuneoff` offers.

    result = tuneoff.run(study)     # a path, a packaged name, a mapping, or a Study
    result.summary                  # a data frame

The modules that train are imported when they are needed, so that a report needs no torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuneoff.errors import InputError, unknown_name
from tuneoff.extras import require_ray, require_train
from tuneoff.reporting import Result, load_report_data, recommended_run, write_report
from tuneoff.results import StudyFolder
from tuneoff.spec import Shard, StudySpec, expand, load_study

if TYPE_CHECKING:
    import pandas as pd

    from tuneoff.draft.guess import Kind
    from tuneoff.exporting import Format
    from tuneoff.study import Executor, OnEvent
    from tuneoff.training import OnProgress, Session, TunedModel

WORKERS = 2
"""Worker processes by default."""


def run(
    study: str | Path | Mapping[str, Any] | StudySpec,
    *,
    out: str | Path | None = None,
    overrides: Iterable[str] = (),
    executor: "Literal['inline', 'process', 'ray'] | Executor" = "inline",
    workers: int | None = None,
    address: str | None = None,
    session: "Session | None" = None,
    on_event: "OnEvent | None" = None,
    shard: Shard | None = None,
) -> Result:
    """Do the runs of a study, write the report, and return the results.

    `study` is anything that `load_study` takes. Results go to the folder `out` (default: `results/NAME`, of
    the study's name), and runs that are finished there are not repeated. Runs are done in this process, or in
    `workers` processes with `executor="process"`, on the Ray cluster at `address` (default: `RAY_ADDRESS`,
    else one is started) with `executor="ray"`, or by any `Executor`. `on_event` is called with each
    event. A `session` caches rows and tokens from one call to the next, as long as no file has changed. With
    a `shard`, only its share of the runs is done; other processes do the others in the same folder, also on
    other machines that share it. Processes that `accelerate launch` starts train each run together.

    Raises:
        InputError: an argument, the study, its model or its data cannot be used.
        KeyboardInterrupt: interrupted; call again to resume.
    """
    if workers is not None and executor != "process":
        raise InputError(
            f"workers={workers} has no effect without executor='process'; add that, or remove workers"
        )
    if address is not None and executor != "ray":
        raise InputError(
            f"address={address} has no effect without executor='ray'; add that, or remove address"
        )
    require_train("tuneoff.run")
    from tuneoff.study import Trackers, run_study
    from tuneoff.study.events import ignore
    from tuneoff.training.parallel import count_processes, dismiss_followers, has_followed

    spec = load_study(study, overrides=overrides)
    folder = Path("results") / spec.name if out is None else Path(out)
    if executor == "ray":
        folder = folder.absolute()  # other processes may be in another folder, and other machines are
    if count_processes() > 1 and executor != "inline":
        raise InputError(
            "processes that are launched together do each run together; leave out executor, or launch one"
        )
    if has_followed(session):
        return report(folder)
    trackers = Trackers(spec, folder, on_event or ignore)
    try:
        if isinstance(executor, str):
            executor = _executor(executor, spec, folder, workers=workers or WORKERS, address=address)
        run_study(spec, folder, executor=executor, session=session, on_event=trackers.take, shard=shard)
        result = write_report(folder)
        trackers.conclude(_decided(result))
    finally:
        trackers.close()
    dismiss_followers()
    return result


def _decided(result: Result) -> dict[str, str]:
    """Return what a study recommends, by task and train size."""
    return {
        f"{one['task']}.n{one['train_size']}": f"{one['recommended'] or 'nothing'} ({one['state']})"
        for one in result.decision.to_dict("records")
    }


def new_study(
    data: str | Path,
    *,
    model: str,
    target: str | None = None,
    inputs: Sequence[str] = (),
    kind: "Kind | None" = None,
    labels: Mapping[str, str] | None = None,
    prompt: str | None = None,
    minutes: float = 30,
) -> StudySpec:
    """Draft a study for a data file, a folder of splits or a hub id, as `tuneoff new` does; write nothing.

    What is not given is guessed from the data. The study takes about so many minutes on this machine.

    Raises:
        InputError: the data or the model cannot be used.
    """
    require_train("tuneoff.new_study")
    from tuneoff.draft import as_study, draft_study, guess_task, look_at, source_of, study_name
    from tuneoff.spec import ModelSpec, model_id
    from tuneoff.training import load_backbone

    look = look_at(source_of(str(data)))
    guess = guess_task(look.columns, target=target, inputs=inputs, kind=kind)
    model = model_id(model, Path.cwd())
    backbone = load_backbone(ModelSpec(id=model))
    draft = draft_study(
        look,
        guess,
        backbone,
        name=study_name(str(data)),
        model=model,
        minutes=minutes,
        prompt=prompt,
        labels=labels,
    )
    return as_study(draft)


def load_method(run: str | Path, *, model: str | None = None, task: str | None = None) -> "TunedModel":
    """Load the model that a run has tuned; of a study's output folder, the run that its decision recommends.

    `run` is the folder of a run, an output folder, or that followed by a run's id. `model` says where the
    base model is now, if it has moved; `task` names one of several tasks of a study. A soft prompt is a part
    of the input: where `model` is called directly, `adapted.prompt_ids` go before the ids of every text.

    Raises:
        InputError: there is no such run, its weights were not saved, or the base model cannot be loaded.
    """
    require_train("tuneoff.load_method")
    from tuneoff.training import load_tuned

    return load_tuned(_run_folder(Path(run), task), model=model)


def predict(
    run: "str | Path | TunedModel",
    rows: "str | Path | Sequence[Mapping[str, object]]",
    *,
    task: str | None = None,
    batch_size: int | None = None,
    on_progress: "OnProgress | None" = None,
) -> "pd.DataFrame":
    """Return the predictions of a tuned model for new rows, a row each, with the columns that it has read.

    `run` is what `load_method` takes, or what it returns. `rows` are mappings from column to cell, or the
    path of a data file. Besides the columns there are `prediction` (a label's value as in the data, an
    option's letter, or the text), `answer` (what that stands for, in words), `p(<label>)` for labels and
    options (their likelihoods as shares), and for generated text `cut` (it reached its limit unfinished). A
    row with an empty column has none of these.

    Raises:
        InputError: the run or the rows cannot be used.
    """
    import pandas as pd

    from tuneoff.training import TunedModel

    tuned = run if isinstance(run, TunedModel) else load_method(run, task=task)
    given = Path(rows) if isinstance(rows, str | Path) else rows
    found = tuned.predict(given, batch_size=batch_size, on_progress=on_progress or (lambda count: None))
    table = pd.DataFrame([dict(one.cells) for one in found])
    table["prediction"] = [one.prediction for one in found]
    table["answer"] = [one.text for one in found]
    for name in dict.fromkeys(name for one in found for name in one.probabilities):
        table[f"p({name})"] = [one.probabilities.get(name) for one in found]
    if tuned.run.task.generates:
        table["cut"] = [one.cut for one in found]
    return table


def export(
    run: str | Path,
    to: str | Path,
    *,
    format: "Format" = "peft",
    model: str | None = None,
    task: str | None = None,
) -> Path:
    """Write a tuned model for other tools into the new folder `to`; return the folder.

    `run`, `model` and `task` are as in `load_method`. Formats: `peft` (for `PeftModel.from_pretrained`),
    `merged` (plain weights, for transformers) and `tuneoff` (for `tuneoff.methods.load`, any method).

    Raises:
        InputError: the run cannot be loaded, the format cannot hold its method, or the folder exists.
    """
    require_train("tuneoff.export")
    from tuneoff.exporting import export_run

    export_run(_run_folder(Path(run), task), Path(to), to=format, model=model)
    return Path(to)


def _run_folder(path: Path, task: str | None) -> Path:
    """Return the folder of a run: the path itself, or the run that a study's decision recommends."""
    if not StudyFolder(path).study.is_file():
        if task is not None:
            raise InputError(
                f"a task chooses among the decisions of a study, but '{path}' is a run; leave it out"
            )
        return path
    return recommended_run(load_report_data(path), task)


def report(folder: str | Path) -> Result:
    """Write the report of a study's output folder again, and return the results; train nothing.

    Raises:
        StoreError: the folder holds no study, or cannot be written.
    """
    return write_report(Path(folder))


def _executor(name: str, study: StudySpec, folder: Path, *, workers: int, address: str | None) -> "Executor":
    from tuneoff.study import InlineExecutor, ProcessExecutor

    match name:
        case "inline":
            return InlineExecutor()
        case "process":
            return ProcessExecutor(workers)
        case "ray":
            require_ray()
            from tuneoff.study.ray_executor import RayExecutor

            return RayExecutor(folder, study.resources, expand(study), address=address)
    raise InputError(f"executor: {unknown_name(name, ['inline', 'process', 'ray'])}")
