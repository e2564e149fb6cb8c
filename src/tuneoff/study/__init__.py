"""Run a whole study: check it, search settings, do the runs, and resume after an interruption."""

from tuneoff.study.activity import Follower
from tuneoff.study.baselines import count_baselines
from tuneoff.study.estimate import Cost, Estimate, MethodCosts, estimate, measure_costs
from tuneoff.study.events import (
    DamagedMoved,
    Event,
    ModelConverting,
    OnEvent,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchesPlanned,
    SearchFinished,
    SearchStarted,
    TrackerStopped,
    TrialFinished,
    TrialPointLogged,
    TrialStarted,
    WorkExpected,
)
from tuneoff.study.executor import Context, Executor, InlineExecutor, Job, Lost, ProcessExecutor, Work
from tuneoff.study.runner import check, do_job, run_study
from tuneoff.study.trackers import Trackers

__all__ = [
    "Context",
    "Cost",
    "DamagedMoved",
    "Estimate",
    "Event",
    "Executor",
    "Follower",
    "InlineExecutor",
    "Job",
    "Lost",
    "MethodCosts",
    "ModelConverting",
    "OnEvent",
    "PointLogged",
    "ProcessExecutor",
    "RunFinished",
    "RunStarted",
    "RunsPlanned",
    "SearchFinished",
    "SearchStarted",
    "SearchesPlanned",
    "TrackerStopped",
    "Trackers",
    "TrialFinished",
    "TrialPointLogged",
    "TrialStarted",
    "Work",
    "WorkExpected",
    "check",
    "count_baselines",
    "do_job",
    "estimate",
    "measure_costs",
    "run_study",
]
