"""The tables of circumstances: configuration, data, versions and machine, seeds, wall time."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from tuneoff.report.data import ReportData
from tuneoff.report.document import Table
from tuneoff.report.formatting import ABSENT, count, duration
from tuneoff.spec import DataReport, Environment, Method, RunRecord, Spec, SplitReport, StackSpec

SPLITS = ("train", "validation", "test")
_COUNTS = tuple(SplitReport.model_fields)
_COUNT_TITLES = {"dropped_overlap": "overlap dropped", "validation_overlap": "also in validation"}


def model_table(data: ReportData) -> Table:
    """The model and the training settings that all trained methods share."""
    model = data.study.model
    rows = [("model", model.id), ("revision asked for", written(model.revision))]
    commits = dict.fromkeys(one.environment.model_revision for one in data.records if one.environment)
    rows.append(("commit used", ", ".join(map(written, commits)) or ABSENT))
    rows += [(name, written(value)) for name, value in data.study.training.model_dump().items()]
    return Table(("Setting", "Value"), tuple(rows), left=2, caption="Model and training")


def methods_table(data: ReportData) -> Table:
    """A row per method and ablation variant with the settings of its runs; several where searches differ."""
    used = defaultdict[str, dict[Method, dict[str, None]]](dict)
    for run in data.plan:
        place = f"{run.task_name}, train size {run.train_size}" if data.several_sizes else run.task_name
        used[run.method_name].setdefault(run.method, {})[place] = None
    rows = [
        (name, method.kind, "; ".join(places) if len(used[name]) > 1 else "all", _settings(method))
        for name, _ in data.variants
        for method, places in used[name].items()
    ]
    if all(runs == "all" for _, _, runs, _ in rows):
        plain = tuple((name, kind, settings) for name, kind, _, settings in rows)
        return Table(("Method", "Kind", "Settings"), plain, left=3, caption="Methods")
    return Table(("Method", "Kind", "Runs", "Settings"), tuple(rows), left=4, caption="Methods")


def tasks_table(data: ReportData) -> Table:
    """A column per task with its source, prompt and the rest of its settings."""
    tasks = {name: task.model_dump() for name, task in data.study.tasks.items()}
    keys = dict.fromkeys(("kind", *(key for settings in tasks.values() for key in settings)))
    rows = tuple(
        (key, *(written(settings[key]) if key in settings else ABSENT for settings in tasks.values()))
        for key in keys
    )
    return Table(("Setting", *tasks), rows, left=1 + len(tasks), caption="Tasks")


def data_table(data: ReportData) -> Table:
    """A row per task, split and number of used rows; a range where runs differ."""
    groups: dict[tuple[str, str, int], list[SplitReport]] = {}
    for task, report in _data_reports(data):
        for split in SPLITS:
            counts = getattr(report, split)
            groups.setdefault((task, split, counts.used), []).append(counts)
    order = list(data.study.tasks)
    keys = sorted(groups, key=lambda key: (order.index(key[0]), SPLITS.index(key[1]), key[2]))
    rows = tuple((*key[:2], *_ranges(groups[key]), str(len(groups[key]))) for key in keys)
    titles = (_COUNT_TITLES.get(name, name.replace("_", " ")) for name in _COUNTS)
    return Table(("Task", "Split", *titles, "runs"), rows, left=2)


def sources_table(data: ReportData) -> Table:
    """A row per task and version of its data: commit, digests, and where validation comes from."""
    versions: Counter[tuple[str, ...]] = Counter()
    for task, report in _data_reports(data):
        digests = (report.digests.get(split, ABSENT)[:12] for split in SPLITS)
        carved = "taken from train" if report.carved_validation else "its own"
        versions[task, written(report.revision), carved, *digests] += 1
    rows = tuple((*version, str(runs)) for version, runs in versions.items())
    digest_titles = (f"{split} SHA-256" for split in SPLITS)
    return Table(("Task", "Commit", "Validation rows", *digest_titles, "runs"), rows, left=6)


def environment_table(data: ReportData) -> Table:
    """A row per machine property and package version, with numbers of runs where these differ."""
    rows = []
    for name, values in _circumstances(data).items():
        told = (
            f"{value} ({runs} run{'s' * (runs > 1)})" if len(values) > 1 else value
            for value, runs in values.items()
        )
        rows.append((name, "; ".join(told)))
    return Table(("What", "Value"), tuple(rows), left=2)


def differing(data: ReportData) -> tuple[str, ...]:
    """Names of the machine properties and packages that are not equal in all runs."""
    return tuple(name for name, values in _circumstances(data).items() if len(values) > 1)


def seeds_table(data: ReportData) -> Table:
    """A row per seed with the seed of each random stream."""
    used = defaultdict[int, dict[str, dict[str, None]]](lambda: defaultdict(dict))
    for record in data.records:
        for stream, value in record.seeds.items():
            used[record.spec.seed][stream][str(value)] = None
    streams = tuple(dict.fromkeys(stream for record in data.records for stream in record.seeds))
    rows = [
        (str(seed), *(", ".join(used[seed][stream]) or ABSENT for stream in streams))
        for seed in data.study.seeds
    ]
    return Table(("Seed", *streams), tuple(rows), left=0)


def time_table(data: ReportData) -> Table:
    """A row per method: wall time of training steps alone and of whole runs, mean and sum."""
    timed = [record for record in data.records if record.timings]
    rows = []
    for name, _ in data.variants:
        own = [record for record in timed if record.spec.method_name == name]
        if own:
            rows.append(_times(name, own))
    if len(rows) > 1:
        rows.append(_times("all", timed))
    columns = ("Method", "Runs", "Train, mean", "Train, sum", "Total, mean", "Total, sum")
    return Table(columns, tuple(rows))


def written(value: object) -> str:
    """A setting as text: `none`, `yes`, lists in brackets; quoted where its blanks would not show."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, str):
        return value if " ".join(value.split()) == value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {written(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


def _settings(method: Spec) -> str:
    if isinstance(method, StackSpec):
        return "; ".join(f"{part.kind} ({_settings(part)})" for part in method.parts)
    settings = method.model_dump(exclude={"kind"})
    return ", ".join(f"{name}={written(value)}" for name, value in settings.items()) or ABSENT


def _data_reports(data: ReportData) -> list[tuple[str, DataReport]]:
    return [(record.spec.task_name, record.data) for record in data.records if record.data]


def _circumstances(data: ReportData) -> dict[str, Counter[str]]:
    """From each property to the number of runs of each of its values."""
    environments = [_flat(record.environment) for record in data.records if record.environment]
    names = dict.fromkeys(name for one in environments for name in one)
    return {name: Counter(one.get(name, "absent") for one in environments) for name in names}


def _flat(environment: Environment) -> dict[str, str]:
    values = environment.model_dump(exclude={"packages"})
    properties = {name.replace("_", " "): written(value) for name, value in values.items()}
    return properties | dict(sorted(environment.packages.items()))


def _ranges(reports: list[SplitReport]) -> list[str]:
    return [_range(getattr(report, name) for report in reports) for name in _COUNTS]


def _range(values: Iterable[int | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ABSENT
    low, high = count(min(known)), count(max(known))
    return low if low == high else f"{low} to {high}"


def _times(name: str, records: Iterable[RunRecord]) -> tuple[str, ...]:
    timings = [record.timings for record in records if record.timings]
    cells = [name, str(len(timings))]
    for values in ([one.train for one in timings], [one.total for one in timings]):
        cells += [duration(sum(values) / len(values)), duration(sum(values))]
    return tuple(cells)
