"""What a Ray node starts for a worker: it has the worker forked, and ends when that does.

Importing torch takes a worker more than ten seconds where cores are shared.
"""

import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS = "TUNEOFF_TEST_RAY_FORKS"


@contextmanager
def forks_of_workers(address: Path) -> Iterator[dict[str, str]]:
    """Fork the workers of nodes that are started with these arguments in the context."""
    from helpers.forking import forked

    server = forked(_serve, str(address))
    os.environ[_ADDRESS] = str(address)
    try:
        yield {"worker_path": __file__}
    finally:
        del os.environ[_ADDRESS]
        server.terminate()
        server.join()


def _serve(address: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    _become_worker(connection)


def _become_worker(connection: socket.socket) -> None:
    """Be the process that has asked for a fork: with its arguments, environment, folder and outputs."""
    from helpers.forking import begin_anew

    code = 1
    try:
        size, outputs, *_ = socket.recv_fds(connection, 8, 2)
        with connection.makefile("rb") as stream:
            arguments, environment, folder = json.loads(stream.read(int.from_bytes(size)))
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        begin_anew([connection.fileno()])  # closed when this process ends
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.argv = arguments
        runpy.run_module("ray._private.workers.default_worker", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        os._exit(code)


def _wait_for_fork() -> None:
    asked = json.dumps([sys.argv, dict(os.environ), str(Path.cwd())]).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[_ADDRESS])
        socket.send_fds(connection, [len(asked).to_bytes(8)], [1, 2])
        connection.sendall(asked)
        connection.recv(1)


if __name__ == "__main__":
    _wait_for_fork()
