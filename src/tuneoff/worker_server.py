"""The process that worker processes are forked from: it has imported torch and the rest, but runs nothing.

A command that uses workers starts it before its own imports, which take as long.
"""

import multiprocessing
import os
import sys
from multiprocessing import forkserver, resource_tracker

from tuneoff.interrupts import interrupts_blocked

if sys.platform == "linux":
    CONTEXT = multiprocessing.get_context("forkserver")
else:  # system libraries that torch uses do not survive a fork
    CONTEXT = multiprocessing.get_context("spawn")
PRELOADED = ["tuneoff.study.runner", "transformers.optimization"]
"""What it imports; the second has Adafactor, which is imported when it is first used."""


def start() -> None:
    """Start the server, if there is none; it imports modules while this process goes on."""
    if os.name == "posix":
        # starting the tracker unblocks signals; if the server or a worker started it, theirs would not stay
        # blocked
        resource_tracker.ensure_running()
    if sys.platform == "linux":
        CONTEXT.set_forkserver_preload(PRELOADED)
        with interrupts_blocked():
            forkserver.ensure_running()
