"""Processes that begin with their imports done: forks of the server that a study's workers are forked from.

What a fork does is what a fresh process would do, without the seconds that importing torch takes. The server
is a fork itself, of the process that runs the tests; so are those of commands in forks of it.
"""

import multiprocessing
import os
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from helpers.drawing import charts_left_blank
from tuneoff import worker_server
from tuneoff.cli import main

_CONTEXT = multiprocessing.get_context("forkserver")
NEEDED = ("rouge_score.tokenizers", "sklearn.metrics", "scipy.stats", "helpers.random_words")
"""What scores, baselines and random models need when they are first made, which takes seconds."""


_spawn = util.spawnv_passfds


def start_server() -> None:
    """Start the server as a fork of this process, which has no threads yet but those that wait for input."""
    util.spawnv_passfds = _forked_server
    worker_server.start()


def _forked_server(path: object, arguments: Sequence[str], passed: Sequence[int]) -> int:
    """Start a server of forks by a fork, and any other process as multiprocessing does: its pid."""
    program = arguments[-1]
    if "forkserver" not in program:
        return _spawn(path, arguments, passed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: there are threads
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            begin_anew(passed)
            exec(program, {})  # what a new interpreter would be given
        except SystemExit:
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def begin_anew(kept: Sequence[int] = ()) -> None:
    """Leave nothing in a fork of what a new interpreter does not have, but modules; some files are kept."""
    start = 3
    for end in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(start, end)
        start = end + 1
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for one in (forkserver._forkserver, resource_tracker._resource_tracker):
        one.__init__()


def forked(function: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that calls a function that it can import."""
    worker_server.start()  # there is one
    process = _CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def result_of(function: Callable[..., object], *arguments: object) -> Any:
    """What a function returns in a process of its own.

    Raises:
        EOFError: the process ended before; its traceback is on standard error.
    """
    here, there = _CONTEXT.Pipe()
    with here, there:
        process = forked(_send_result, there, function, arguments)
        there.close()
        try:
            return here.recv()
        finally:
            process.join()


def _send_result(there: Connection, function: Callable[..., object], arguments: Sequence[object]) -> None:
    there.send(function(*arguments))


def forked_command(arguments: Sequence[str], out: Path, err: Path) -> BaseProcess:
    """The command line in a process and a group of its own, which writes into two files.

    Its charts stay blank.
    """
    for path in (out, err):
        path.unlink(missing_ok=True)
    return forked(_do, main, (arguments,), out, err, {})


def launched_together(function: Callable[..., object], *arguments: object, out: Path) -> list[BaseProcess]:
    """Two processes that train together and write into one file, with what `torchrun` tells them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    together = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": f"{port}",
    }
    places = [together | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    return [forked(_do, function, arguments, out, out, environment) for environment in places]


def _do(
    function: Callable[..., object],
    arguments: Sequence[object],
    out: Path,
    err: Path,
    environment: dict[str, str],
) -> None:
    os.setsid()
    os.environ |= environment
    for path, number in ((out, 1), (err, 2)):
        with open(path, "ab") as file:
            os.dup2(file.fileno(), number)
    # the server ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    code: object = 1
    try:
        with charts_left_blank(has_library=False):
            function(*arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    raise SystemExit(code)
