"""The doing of a whole study: plan, executors, store and resume."""

from tuneoff.results.store import RunStore
from tuneoff.study.estimate import Cost, Estimate, estimate
from tuneoff.study.executor import Executor, InlineExecutor, Job, Lost, ProcessExecutor, Work
from tuneoff.study.runner import Listener, check, do_job, run_study

__all__ = [
    "Cost",
    "Estimate",
    "Executor",
    "InlineExecutor",
    "Job",
    "Listener",
    "Lost",
    "ProcessExecutor",
    "RunStore",
    "Work",
    "check",
    "do_job",
    "estimate",
    "run_study",
]
