"""The command line, a thin layer over `tuneoff.api`: what commands take; what they print is beside this.

Commands do heavy imports, so that --help is fast.
"""

import atexit
import errno
import gc
import io
import os
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tuneoff.cli.stops import STOPPED, ended_by_stops, seconds_of
from tuneoff.cli.terminal import Terminal, lasting_imports
from tuneoff.errors import LONGEST_VALUE, InputError, TuneoffError, is_memory_error, shown
from tuneoff.extras import require_train

FAILED, BAD_INPUT = 1, 2
_LONGEST_WORD = 600
"""Characters at or above which a word in a message is cut."""
_USAGE_ERROR: Any = typer.BadParameter.__base__  # typer gives it no name of its own

app = typer.Typer(
    help="Compare ways of fine-tuning a model on your data: full fine-tuning, LoRA, prefix-tuning, "
    "prompt-tuning and the base model, with several seeds, statistics and a report.\n\n"
    "A study is a YAML file that names the model, the tasks and the methods. To see one at work: "
    "tuneoff run quickstart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file (YAML), or a name that `tuneoff studies` lists.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Override a value of the study, such as training.max_steps=100; can be repeated.",
    ),
]


def _usable_path(path: Path | None) -> Path | None:
    """Return the path, if this system and every library can open it."""
    try:
        if path is not None:
            str(path).encode()
            path.exists()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(
            f"{shown(str(path))} cannot be the path of a folder: {reason}; give another"
        ) from error
    return path


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="The output folder of a study, as given to `tuneoff run --out`.",
        callback=_usable_path,
    ),
]


RecommendedRun = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run's folder; the output folder of its study followed by the run's id; or the output "
        "folder alone, for the run that the decision recommends.",
        callback=_usable_path,
    ),
]
MovedModel = Annotated[str | None, typer.Option(help="Where the base model is now, if it has moved.")]
DecisionTask = Annotated[str | None, typer.Option(help="The task whose decision counts, of several.")]


class ExecutorName(StrEnum):
    """Where runs are done."""

    inline = "inline"
    process = "process"
    ray = "ray"


class ReportFormat(StrEnum):
    """What `tuneoff report` writes."""

    files = "files"
    latex = "latex"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Codes: 0 success, 1 a run or the program failed, 2 bad input, 130 Ctrl-C, 143 SIGTERM, 124 the deadline.
    """
    atexit.register(gc.freeze)  # skips the last garbage collection: the process ends anyway
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, standalone_mode=False, prog_name="tuneoff")
    except _USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "tuneoff"
        message = error.format_message()
        end = "" if message.endswith((".", "?")) else "."
        _print_error(f"{message}{end} See `{command} --help`.")
        code = BAD_INPUT
    except TuneoffError as error:
        _print_error(str(error))
        code = BAD_INPUT if isinstance(error, InputError) else FAILED
    except OSError as error:
        place = f": {shown(error.filename)}" if error.filename else ""
        _print_error(f"the operating system reports: {error.strerror or error}{place}")
        code = BAD_INPUT if error.errno == errno.ENAMETOOLONG else FAILED
    except (MemoryError, ImportError) as error:
        if not is_memory_error(error):
            raise
        _print_error("out of memory; free memory, or make the batches, the texts or the model smaller")
        code = FAILED
    if code in STOPPED:
        Terminal().print(f"\n{STOPPED[code]}. Run the same command again to resume.")
    sys.exit(code)


def _print_error(message: str) -> None:
    message = re.sub(rf"\S{{{_LONGEST_WORD},}}", _shortened, message)
    Terminal(stderr=True, soft_wrap=True).print(f"error: {message}")


def _shortened(word: re.Match[str]) -> str:
    return f"{word[0][:LONGEST_VALUE]}...({len(word[0]):,} characters)...{word[0][-LONGEST_VALUE // 2 :]}"


@app.command()
def run(
    study: StudyName,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The output folder; finished runs in it are kept [default: results/<study name>].",
            callback=_usable_path,
        ),
    ] = None,
    overrides: Overrides = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="N/COUNT",
            help="Do a share of the runs, such as 3/8; other processes do the others in the same folder.",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Stop after this time (3h50m, 45m, 90s), with a checkpoint of the run under way.",
        ),
    ] = None,
    executor: Annotated[
        ExecutorName,
        typer.Option(
            help="inline: one run at a time in this process; process: several processes; ray: a Ray cluster."
        ),
    ] = ExecutorName.inline,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of worker processes; they share the CPU cores [default: 2]."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster [default: RAY_ADDRESS, else one is started on this machine]."),
    ] = None,
) -> None:
    """Do the runs of a study, and write the report.

    Finished runs are kept: after an interruption, the same command resumes.
    """
    if workers is not None and executor is not ExecutorName.process:
        raise InputError(
            f"--workers {workers} has no effect without --executor process; add that, or remove --workers"
        )
    if address is not None and executor is not ExecutorName.ray:
        raise InputError(
            f"--address {address} has no effect without --executor ray; add that, or remove --address"
        )
    require_train("tuneoff run")
    if os.environ.get("WORLD_SIZE", "1") != "1":  # as `accelerate launch` sets it
        from tuneoff.training.parallel import has_followed

        if has_followed():
            return
    console = Terminal()
    with ended_by_stops(deadline=None if deadline is None else seconds_of(deadline)):
        from tuneoff.spec import Shard, load_study

        # before the heavy imports, so that bad input is reported at once
        share = None if shard is None else Shard.parse(shard)
        spec = load_study(study, overrides=overrides or ())
        if executor is ExecutorName.process:
            from tuneoff import worker_server

            worker_server.start()  # it imports the same at the same time
        with lasting_imports():
            import tuneoff.api
            from tuneoff.cli.outcome import print_outcome
            from tuneoff.cli.progress import Progress

        with Progress(console, spec.name) as progress:
            result = tuneoff.api.run(
                spec,
                out=out,
                executor=executor.value,
                workers=workers,
                address=address,
                on_event=progress.show,
                shard=share,
            )
    is_complete = print_outcome(console, result, of_shard=share is not None)
    if share is not None:
        console.print(f"shard {share} is done; `tuneoff report` joins all shards", soft_wrap=True)
    _exit_unless(is_complete)


@app.command()
def plan(study: StudyName, overrides: Overrides = None) -> None:
    """List the runs with parameter counts and estimated times."""
    require_train("tuneoff plan")
    from tuneoff.spec import load_study

    # before the heavy imports, so that bad input is reported at once
    spec = load_study(study, overrides=overrides or ())
    with lasting_imports():
        from tuneoff.cli.plan import print_plan

    print_plan(spec, Terminal())


class TaskKind(StrEnum):
    """What a drafted study may be about."""

    classification = "classification"
    summarization = "summarization"
    generation = "generation"


@app.command()
def new(
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A data file, a folder with train and test files, or a hub id."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model, as a study names it (a hub id, a folder, builtin:...).")
    ] = None,
    task: Annotated[TaskKind | None, typer.Option(help="The kind of task.")] = None,
    target: Annotated[str | None, typer.Option(help="The column with the answer.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="A column that the model reads; can be repeated.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="VALUE=TEXT", help="The text of a label; can be repeated."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="The input, with columns in braces.")] = None,
    minutes: Annotated[float, typer.Option(min=1, help="About how long the study may take.")] = 30,
    out: Annotated[
        Path | None, typer.Option(help="The study file [default: the data's name].", callback=_usable_path)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take every guess.")] = False,
) -> None:
    """Draft a study for your data: a commented file that `tuneoff run` runs."""
    require_train("tuneoff new")
    with lasting_imports():
        from tuneoff.cli.new import Wishes, new_study

    wishes = Wishes(
        data=data,
        model=model,
        kind=task.value if task else None,
        target=target,
        inputs=inputs or (),
        labels=labels or (),
        prompt=prompt,
        minutes=minutes,
        out=out,
        yes=yes,
    )
    new_study(wishes, Terminal())


@app.command()
def prune(
    run_path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run's folder, or the output folder of its study followed by the run's id.",
            callback=_usable_path,
        ),
    ],
    keep: Annotated[float, typer.Option(help="The share of LoRA's stored parameters to keep, up to 1.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="A new folder for the result [default: pruned/ in the study's output folder].",
            callback=_usable_path,
        ),
    ] = None,
) -> None:
    """Cut the LoRA of a finished run to fewer ranks, each layer to its own; trains nothing.

    The singular values of all layers are cut at one threshold (PARA, arXiv:2604.27796). Which share loses how
    much is measured by `cuts` of a LoRA in a study.
    """
    if not 0 < keep <= 1:
        raise InputError(f"--keep must be a share above 0 and up to 1, but got {keep:g}; try --keep 0.25")
    require_train("tuneoff prune")
    with lasting_imports():
        from tuneoff.cli.prune import print_pruned
        from tuneoff.methods import prune as prune_run

    print_pruned(prune_run(run_path, keep=keep, out=out), Terminal())


@app.command()
def predict(
    run_path: RecommendedRun,
    source: Annotated[
        Path | None,
        typer.Option(
            "--input", help="A data file with the columns that the prompt names.", callback=_usable_path
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(help="One text, for a prompt with one column.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where predictions go: csv, tsv, jsonl or parquet [default: standard output, as csv].",
            callback=_usable_path,
        ),
    ] = None,
    model: MovedModel = None,
    task: DecisionTask = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows at a time.")] = None,
) -> None:
    """Apply a tuned model to new rows: labels with probabilities, options, or texts."""
    require_train("tuneoff predict")
    with lasting_imports():
        from tuneoff.cli.predict import predict_rows

    predict_rows(
        run_path, source=source, text=text, output=output, model=model, task=task, batch_size=batch_size
    )


class ExportFormat(StrEnum):
    """What a tuned model is exported as."""

    peft = "peft"
    merged = "merged"
    tuneoff = "tuneoff"


@app.command()
def export(
    run_path: RecommendedRun,
    to: Annotated[Path, typer.Option(help="A new folder.", callback=_usable_path)],
    output_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="peft: for PeftModel.from_pretrained; merged: plain weights for transformers; tuneoff: for "
            "tuneoff.methods.load, any method.",
        ),
    ] = ExportFormat.peft,
    model: MovedModel = None,
    task: DecisionTask = None,
) -> None:
    """Write a tuned model for other tools, with its tokenizer and a model card."""
    require_train("tuneoff export")
    with lasting_imports():
        import tuneoff.api

    folder = tuneoff.api.export(run_path, to, format=output_format.value, model=model, task=task)
    typer.echo(f"wrote {folder.as_posix()}; README.md in it says how to load it")


@app.command()
def studies() -> None:
    """List the packaged studies."""
    from tuneoff.spec import expand, load_study, packaged_studies

    for name in packaged_studies():
        spec = load_study(name)
        typer.echo(f"{name}: {spec.model.id} on {', '.join(spec.tasks)}; {len(expand(spec))} runs")


@app.command()
def schema(
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write [default: standard output].", callback=_usable_path),
    ] = None,
) -> None:
    """Write the JSON Schema of studies, with which an editor completes, explains and checks them.

    `tuneoff new` puts it beside the study that it drafts. In any other study, a first line
    `# yaml-language-server: $schema=study.schema.json` names it.
    """
    import json

    from tuneoff.errors import writing
    from tuneoff.spec import study_schema

    text = json.dumps(study_schema(), indent=1)
    if out is None:
        typer.echo(text)
    else:
        with writing(out):
            out.write_text(f"{text}\n", encoding="utf-8")


@app.command()
def status(
    folder: Folder,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show what the study is doing, every two seconds, until it is done."),
    ] = False,
) -> None:
    """Show how many runs of a study are complete, or what it is doing right now."""
    from tuneoff.cli.status import print_status

    print_status(folder, Terminal(), watch=watch)


@app.command()
def report(
    folder: Folder,
    output_format: Annotated[
        ReportFormat,
        typer.Option(
            "--format", help="files: the page and all that lies beside it; latex: tables to standard output."
        ),
    ] = ReportFormat.files,
) -> None:
    """Write the report again from the results; trains nothing."""
    with lasting_imports():
        import tuneoff.api
        from tuneoff.cli.outcome import print_outcome
        from tuneoff.reporting import latex, load_report_data

    if output_format is ReportFormat.latex:
        typer.echo(latex(load_report_data(folder)), nl=False)
    else:
        _exit_unless(print_outcome(Terminal(), tuneoff.api.report(folder)))


def _exit_unless(complete: bool) -> None:
    """Exit with 1 unless every run has a result."""
    if not complete:
        raise typer.Exit(FAILED)
