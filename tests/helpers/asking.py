"""A program in place of another that something else starts: it has that forked, and ends as the fork does.

What starts it are Ray's nodes and `torchrun`, whose processes would each import torch for ten seconds.
"""

import json
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = __file__
_ADDRESS, _MODULE = "TUNEOFF_TEST_FORKS", "TUNEOFF_TEST_FORKED"


@contextmanager
def forks_of(module: str, address: Path) -> Iterator[None]:
    """Let `PROGRAM` be `python -m module` in the context; `address` is that of a socket."""
    from helpers.forking import forked

    server = forked(_serve, str(address))
    os.environ |= {_ADDRESS: str(address), _MODULE: module}
    try:
        yield
    finally:
        for name in (_ADDRESS, _MODULE):
            del os.environ[name]
        server.terminate()
        server.join()


def _serve(address: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a fork says itself how it ends
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    _be_what_is_asked(connection)


def _be_what_is_asked(connection: socket.socket) -> None:
    """Be the process that asks: with its arguments, environment, folder and outputs."""
    from helpers.forking import begin_anew

    code = 1
    try:
        size, outputs, *_ = socket.recv_fds(connection, 8, 2)
        with connection.makefile("rb") as stream:
            arguments, environment, folder = json.loads(stream.read(int.from_bytes(size)))
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        begin_anew([connection.fileno()])
        os.setpgid(0, 0)  # as Ray does with its workers
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.argv = arguments
        runpy.run_module(environment[_MODULE], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        connection.send(bytes([code]))
        os._exit(code)


def _ask() -> int:
    """Ask for a fork and wait for its end; return its exit code, 1 if it was killed."""
    asked = json.dumps([sys.argv, dict(os.environ), str(Path.cwd())]).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[_ADDRESS])
        socket.send_fds(connection, [len(asked).to_bytes(8)], [1, 2])
        connection.sendall(asked)
        return int.from_bytes(connection.recv(1) or b"\1")


if __name__ == "__main__":
    sys.exit(_ask())
