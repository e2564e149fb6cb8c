"""A study's output folder: its layout, and how results are written, read back and checked. No torch."""

from tuneoff.results.activity import (
    Activity,
    Count,
    Training,
    end_activity,
    means,
    read_activity,
    write_activity,
)
from tuneoff.results.baseline import BaselineRecord
from tuneoff.results.contents import Contents, Excluded, read_folder
from tuneoff.results.curve import CurvePoint, append_point, read_curve
from tuneoff.results.cuts import CutScore
from tuneoff.results.examples import TaskExamples
from tuneoff.results.forgetting import Forgetting
from tuneoff.results.format import FileChecksum
from tuneoff.results.identity import Inputs, ModelIdentity
from tuneoff.results.layout import BaselineFiles, ReportFolder, RunFolder, SearchFolder, StudyFolder
from tuneoff.results.metrics import metric_name, metric_title
from tuneoff.results.reader import (
    find_run,
    read_baselines,
    read_inputs,
    read_records,
    read_searches,
    read_study,
)
from tuneoff.results.record import (
    FINISHED,
    DataReport,
    Environment,
    Footprint,
    RunFailure,
    RunRecord,
    RunState,
    SplitReport,
    TaskShare,
    Timings,
    WeightsOf,
)
from tuneoff.results.search import SearchResult, Trial, chosen_values
from tuneoff.results.store import RunStore

__all__ = [
    "FINISHED",
    "Activity",
    "BaselineFiles",
    "BaselineRecord",
    "Contents",
    "Count",
    "CurvePoint",
    "CutScore",
    "DataReport",
    "Environment",
    "Excluded",
    "FileChecksum",
    "Footprint",
    "Forgetting",
    "Inputs",
    "ModelIdentity",
    "ReportFolder",
    "RunFailure",
    "RunFolder",
    "RunRecord",
    "RunState",
    "RunStore",
    "SearchFolder",
    "SearchResult",
    "SplitReport",
    "StudyFolder",
    "TaskExamples",
    "TaskShare",
    "Timings",
    "Training",
    "Trial",
    "WeightsOf",
    "append_point",
    "chosen_values",
    "end_activity",
    "find_run",
    "means",
    "metric_name",
    "metric_title",
    "read_activity",
    "read_baselines",
    "read_curve",
    "read_folder",
    "read_inputs",
    "read_records",
    "read_searches",
    "read_study",
    "write_activity",
]
