"""A process that has imported what takes seconds to import, and forks for each piece of work.

What a fork does is what a fresh process with these imports would do: its own working folder, its own state.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class WarmProcess:
    """Calls functions by name in forks of one process, while its context is open."""

    def __init__(self, modules: Sequence[str], environment: dict[str, str]) -> None:
        self._command = [sys.executable, __file__, *modules]
        self._environment = environment | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def call(self, name: str, *arguments: Any, folder: Path) -> Any:
        """What the function `module:name` returns of these arguments, all of them JSON.

        Raises:
            AssertionError: it raised, or wrote to standard error.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([name, arguments, str(folder)]), file=self._process.stdin, flush=True)
        code, result, err = json.loads(self._process.stdout.readline())
        assert (code, err) == (0, "")
        return result


def _serve(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)
    for line in sys.stdin:
        name, arguments, folder = json.loads(line)
        sys.stdout.write(json.dumps(_forked(name, arguments, Path(folder))) + "\n")
        sys.stdout.flush()
    os._exit(0)  # to take down what was imported takes seconds, too


def _forked(name: str, arguments: Sequence[Any], folder: Path) -> tuple[int, Any, str]:
    """The exit code of a fork, what the function returned in it, and what it wrote to standard error."""
    result, err = folder / "warm-result.json", folder / "warm-stderr.txt"
    if (child := os.fork()) == 0:
        code = 1
        with open(err, "w", encoding="utf-8") as stream:
            os.dup2(stream.fileno(), 2)
        try:
            os.chdir(folder)
            module, function = name.split(":")
            returned = getattr(import_module(module), function)(*arguments)
            result.write_text(json.dumps(returned), encoding="utf-8")
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    returned = json.loads(result.read_text(encoding="utf-8")) if code == 0 else None
    told = err.read_text(encoding="utf-8")
    for path in (result, err):
        path.unlink(missing_ok=True)
    return code, returned, told


if __name__ == "__main__":
    _serve(sys.argv[1:])
