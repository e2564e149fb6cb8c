"""The front door for Python: what `import tuneoff` offers.

    result = tuneoff.run(study)     # a path, a packaged name, a mapping, or a Study
    result.summary                  # a data frame

What trains is imported when it is needed.
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
"""Worker processes, unless it is said how many."""


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
    """Train and test what has not been done of a study yet, write the report, and return the results.

    `study` is what `load_study` takes. Results go to `out` (results/<study name>), where those that are
    there already are kept. Runs are done in this process, in `workers` processes with
    `executor="process"`, or by an `Executor` of one's own. `on_event` is called with what happens. A
    `session` keeps what was read, from one call to the next, as long as no file has changed.

    Raises:
        InputError: something given cannot be used.
        KeyboardInterrupt: interrupted; the same call goes on where this one stopped.
    """
    if workers is not None and executor != "process":
        raise InputError(f"workers={workers} has no effect without executor='process'; add that, or leave it")
    require_train("tuneoff.run")
    from tuneoff.study import run_study
    from tuneoff.study.events import ignore

    spec = load_study(study, overrides=overrides)
    folder = Path("results") / spec.name if out is None else Path(out)
    doing = _executor(executor, workers or WORKERS) if isinstance(executor, str) else executor
    run_study(spec, folder, executor=doing, session=session, on_event=on_event or ignore)
    return write_report(folder)


def report(folder: str | Path) -> Result:
    """Write the report of a study's output folder again, and return the results; nothing is trained.

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
