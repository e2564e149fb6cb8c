"""The Python API, which `import tuneoff` offers.

    result = tuneoff.run(study)     # a path, a packaged name, a mapping, or a Study
    result.summary                  # a data frame

The modules that train are imported when they are needed, so that a report needs no torch.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuneoff.errors import InputError, unknown_name
from tuneoff.extras import require_train
from tuneoff.reporting import Result, write_report
from tuneoff.spec import StudySpec, load_study

if TYPE_CHECKING:
    from tuneoff.study import Executor, OnEvent
    from tuneoff.training import Session

WORKERS = 2
"""Worker processes by default."""


def run(
    study: str | Path | Mapping[str, Any] | StudySpec,
    *,
    out: str | Path | None = None,
    overrides: Iterable[str] = (),
    executor: "Literal['inline', 'process'] | Executor" = "inline",
    workers: int | None = None,
    session: "Session | None" = None,
    on_event: "OnEvent | None" = None,
) -> Result:
    """Do the runs of a study, write the report, and return the results.

    `study` is anything that `load_study` takes. Results go to the folder `out` (default: results/<study
    name>), and runs that are finished there are not repeated. Runs are done in this process, or in `workers`
    processes with `executor="process"`, or by any `Executor`. `on_event` is called with each event. A
    `session` caches rows and tokens from one call to the next, as long as no file has changed.

    Raises:
        InputError: an argument, the study, its model or its data cannot be used.
        KeyboardInterrupt: interrupted; call again to resume.
    """
    if workers is not None and executor != "process":
        raise InputError(
            f"workers={workers} has no effect without executor='process'; add that, or remove workers"
        )
    require_train("tuneoff.run")
    from tuneoff.study import run_study
    from tuneoff.study.events import ignore

    spec = load_study(study, overrides=overrides)
    folder = Path("results") / spec.name if out is None else Path(out)
    if isinstance(executor, str):
        executor = _executor(executor, workers or WORKERS)
    run_study(spec, folder, executor=executor, session=session, on_event=on_event or ignore)
    return write_report(folder)


def report(folder: str | Path) -> Result:
    """Write the report of a study's output folder again, and return the results; train nothing.

    Raises:
        StoreError: the folder holds no study, or cannot be written.
    """
    return write_report(Path(folder))


def _executor(name: str, workers: int) -> "Executor":
    from tuneoff.study import InlineExecutor, ProcessExecutor

    if name == "inline":
        return InlineExecutor()
    if name == "process":
        return ProcessExecutor(workers)
    raise InputError(f"executor: {unknown_name(name, ['inline', 'process'])}")
