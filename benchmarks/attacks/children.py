"""The command line in forked children of one process that has imported everything.

A child costs tens of milliseconds where a fresh process would import for seconds, so that hundreds of cases
take minutes. Each child has a folder of its own as working directory, a limit of processor time, of wall time
and of memory, and its output in pipes. `y` stands on its standard input, for whoever asks.
"""

import contextlib
import ctypes
import io
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_ENDPOINT": "http://127.0.0.1:9",  # nobody listens there
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "COLUMNS": "100",
}

from tuneoff import cli

SECONDS = 20
"""Of processor time; a child may take four times as long by the clock, on a machine with other work."""
BYTES = 4 << 30
"""Of memory that can be written."""
_OVER_TIME = "over time"
_CAPABILITIES_V3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
Setup = Callable[[], None]


class Outcome(NamedTuple):
    """How a command ended and what it said."""

    arguments: tuple[str, ...]
    code: int | None
    """None if it did not end by itself."""
    death: str
    """`over time`, or the name of the signal that ended it; empty if it ended by itself."""
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """All output."""
        return self.out + self.err

    @property
    def last_line(self) -> str:
        """The last line of the output: a traceback's error, or the message."""
        return next((line for line in reversed(self.text.splitlines()) if line.strip()), "")


def warm_up() -> None:
    """Import all that commands need, and fill their caches, once for all children.

    No thread may be started here: it would not live in the children.
    """
    import sklearn.feature_extraction.text
    import sklearn.linear_model
    import sklearn.metrics
    import sklearn.pipeline  # noqa: F401

    from tuneoff.training.random_tokenizer import random_tokenizer

    random_tokenizer()


def tuneoff(
    *arguments: str | Path,
    folder: Path,
    setup: Setup = lambda: None,
    encoding: str = "utf-8",
    seconds: float = SECONDS,
) -> Outcome:
    """Run a command in a folder and return its outcome; `setup` is called in the child first."""
    words = tuple(map(str, arguments))
    started = time.monotonic()
    # pipes, because files would come under a limit of their size
    pipes = [os.pipe() for _ in range(2)]
    written = [end for _, end in pipes]
    child = start(words, folder=folder, output=written, setup=setup, encoding=encoding, seconds=seconds)
    for end in written:
        os.close(end)
    said = [bytearray(), bytearray()]
    status = _waited(child, started + 4 * seconds, [begin for begin, _ in pipes], said)
    taken = time.monotonic() - started
    out, err = (text.decode(encoding, "backslashreplace") for text in said)
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return Outcome(words, None, _OVER_TIME, out, err, taken)
    if os.WIFSIGNALED(status):
        return Outcome(words, None, signal.Signals(os.WTERMSIG(status)).name, out, err, taken)
    return Outcome(words, os.WEXITSTATUS(status), "", out, err, taken)


def start(
    arguments: Sequence[str],
    *,
    folder: Path,
    output: Sequence[int],
    setup: Setup = lambda: None,
    encoding: str = "utf-8",
    seconds: float = SECONDS,
) -> int:
    """Start a child that runs a command, in a process group of its own; return its id.

    `output` are the file descriptors of its standard output and error.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        _redirect(output, encoding)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        setup()
        code = _exit_code(arguments)
    finally:
        os._exit(code)


def _exit_code(arguments: Sequence[str]) -> int:
    """Run a command in this process; return its exit code, and print a traceback as Python does."""
    try:
        cli.main(list(arguments))
        code: object = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        traceback.print_exc()
        code = 120
    return code if isinstance(code, int) else int(code is not None)


def _redirect(output: Sequence[int], encoding: str) -> None:
    with tempfile.TemporaryFile() as answers:
        answers.write(b"y\n" * 50)
        answers.seek(0)
        os.dup2(answers.fileno(), 0)
    for number, end in enumerate(output, start=1):
        os.dup2(end, number)
    sys.stdin = io.TextIOWrapper(io.FileIO(0), encoding="utf-8")
    # as Python opens them: standard error escapes what it cannot encode
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding=encoding, errors="strict")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w")),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def _waited(child: int, deadline: float, ends: Sequence[int], said: Sequence[bytearray]) -> int | None:
    """Return the child's wait status, None if it had to be killed; kill what it left running.

    What it says is read from the ends of pipes, which are closed.
    """
    for end in ends:
        os.set_blocking(end, False)
    status = None
    while status is None and time.monotonic() < deadline:
        select.select(ends, (), (), 0.02)
        ended, state = os.waitpid(child, os.WNOHANG)
        _read(ends, said)
        status = state if ended else None
        if not ended:
            time.sleep(0.005)
    kill_group(child)
    if status is None:
        os.waitpid(child, 0)
    for end in ends:
        os.close(end)
    return status


def _read(ends: Sequence[int], said: Sequence[bytearray]) -> None:
    """Read what is in pipes."""
    for end, text in zip(ends, said, strict=True):
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(end, 1 << 16):
                text += piece


def kill_group(leader: int) -> None:
    """Kill a child with all processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def bound_by_permissions() -> None:
    """Make file permissions apply to the superuser, too. For a child's setup."""
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for index in range(3):
        sets[index] &= ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def files_of_at_most(size: int) -> Setup:
    """Return a setup in which no file can grow beyond a size in bytes: a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def address_space_of(size: int) -> Setup:
    """Return a setup with room for so many more bytes of addresses, as batch queues set it (`ulimit -v`)."""

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        whole = pages * resource.getpagesize() + size
        resource.setrlimit(resource.RLIMIT_AS, (whole, whole))

    return limit
