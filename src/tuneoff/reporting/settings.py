"""Build the tables of circumstances: configuration, data, versions and machine, seeds, wall time."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain, product

from tuneoff.phrases import plural
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Table
from tuneoff.reporting.formatting import ABSENT, NONE, byte_size, count, duration, in_words
from tuneoff.results import DataReport, Environment, RunRecord, SplitReport
from tuneoff.spec import Method, Spec, StackSpec

SPLITS = ("train", "validation", "test")
_COUNTS = tuple(SplitReport.model_fields)
_COUNT_TITLES = {
    "dropped_overlap": "overlap dropped",
    "pieces": "tokens",
    "unknown_pieces": "unknown tokens",
    "validation_overlap": "also in validation",
}


def model_table(data: ReportData) -> Table:
    """Return the model and the training settings that all trained methods share."""
    model = data.study.model
    rows = [("model", model.id), ("requested revision", as_text(model.revision))]
    if model.quantization:
        found = [one.footprint for one in data.records if one.spec.model == model and one.footprint]
        weights = byte_size(found[0].base_bytes) if found else ABSENT
        rows += [("quantization", model.quantization), ("memory of the weights", weights)]
    commits = dict.fromkeys(one.environment.model_revision for one in data.records if one.environment)
    rows.append(("commit used", ", ".join(map(as_text, commits)) or ABSENT))
    rows += [(name, as_text(value)) for name, value in data.study.training.model_dump().items()]
    if forgetting := data.study.forgetting:
        rows += [(f"forgetting.{name}", as_text(value)) for name, value in forgetting.model_dump().items()]
    return Table(("Setting", "Value"), tuple(rows), text_columns=2, caption="Model and training")


def methods_table(data: ReportData) -> Table:
    """Return the settings of each method and ablation variant, in several rows where searches differ."""
    # by name and settings, the places (task and train size) of the runs that have them
    used = defaultdict[str, dict[Method, dict[str, None]]](dict)
    for run in data.plan:
        place = f"{run.task_name}, train size {run.train_size}" if data.several_sizes else run.task_name
        used[run.method_name].setdefault(run.method, {})[place] = None
    rows = []
    for name, _, wording, model, mixture in data.variants:
        for method, places in used[name].items():
            runs = "; ".join(places) if len(used[name]) > 1 or wording or mixture else "all"
            varied = f"; prompt: {as_text(wording.prompt)}" if wording else ""
            varied += f"; mixture: {_mixture(data, mixture)}" if mixture else ""
            if model != data.study.model:
                varied += f"; quantization: {as_text(model.quantization)}"
            rows.append((name, method.kind, runs, _settings(method) + varied))
    if all(runs == "all" for _, _, runs, _ in rows):
        plain = tuple((name, kind, settings) for name, kind, _, settings in rows)
        return Table(("Method", "Kind", "Settings"), plain, text_columns=3, caption="Methods")
    return Table(("Method", "Kind", "Runs", "Settings"), tuple(rows), text_columns=4, caption="Methods")


def _mixture(data: ReportData, name: str) -> str:
    """Return the settings of a mixture."""
    settings = data.study.mixtures[name].model_dump(exclude={"methods"})
    return as_text({key: value for key, value in settings.items() if value is not None and value != {}})


def tasks_table(data: ReportData) -> Table:
    """Return a column per task with its source, prompt and the rest of its settings."""
    tasks = {name: task.model_dump() for name, task in data.study.tasks.items()}
    keys = dict.fromkeys(("kind", *chain.from_iterable(tasks.values())))
    rows = []
    for key in keys:
        values = [as_text(settings[key]) if key in settings else ABSENT for settings in tasks.values()]
        rows.append((key, *values))
    return Table(("Setting", *tasks), tuple(rows), text_columns=1 + len(tasks), caption="Tasks")


def data_table(data: ReportData) -> Table:
    """Return a row per task, split and number of used rows; a range where runs differ."""
    by_used: dict[tuple[str, str], dict[int, list[SplitReport]]] = {}
    for task, report in _data_reports(data):
        for split in SPLITS:
            counts = getattr(report, split)
            by_used.setdefault((task, split), {}).setdefault(counts.used, []).append(counts)
    rows = []
    for task, split in product(data.study.tasks, SPLITS):
        for _, reports in sorted(by_used.get((task, split), {}).items()):
            rows.append((task, split, *_ranges(reports), str(len(reports))))
    titles = (_COUNT_TITLES.get(name, in_words(name)) for name in _COUNTS)
    return Table(("Task", "Split", *titles, "runs"), tuple(rows), text_columns=2, caption="Rows")


def sources_table(data: ReportData) -> Table:
    """Return a row per task and version of its data: commit, digests, and where validation comes from."""
    versions: Counter[tuple[str, ...]] = Counter()
    for task, report in _data_reports(data):
        digests = (report.digests.get(split, ABSENT)[:12] for split in SPLITS)
        carved = "taken from train" if report.carved_validation else "its own"
        versions[task, as_text(report.revision), carved, *digests] += 1
    rows = tuple((*version, str(runs)) for version, runs in versions.items())
    digest_titles = (f"{split} SHA-256" for split in SPLITS)
    return Table(
        ("Task", "Commit", "Validation rows", *digest_titles, "runs"), rows, text_columns=6, caption="Sources"
    )


def environment_table(data: ReportData) -> Table:
    """Return a row per machine property and package version, with numbers of runs where these differ."""
    rows = []
    for name, values in _circumstances(data).items():
        counted = [f"{value} ({plural(n, 'run')})" for value, n in values.items()]
        rows.append((name, "; ".join(counted if len(values) > 1 else values)))
    return Table(("Property", "Value"), tuple(rows), text_columns=2)


def differing(data: ReportData) -> tuple[str, ...]:
    """Return the names of the machine properties and packages that are not equal in all runs."""
    return tuple(name for name, values in _circumstances(data).items() if len(values) > 1)


def seeds_table(data: ReportData) -> Table:
    """Return a row per seed with the seed of each random stream."""
    # the distinct values of each stream, by seed and stream, in the order of the records
    used: dict[tuple[int, str], dict[str, None]] = {}
    for record in data.records:
        for stream, value in record.seeds.items():
            used.setdefault((record.spec.seed, stream), {})[str(value)] = None
    streams = tuple(dict.fromkeys(stream for _, stream in used))
    rows = []
    planned = {run.seed for run in data.plan}
    for seed in (one for one in data.study.all_seeds if one in planned):
        values = [", ".join(used.get((seed, stream), ())) or ABSENT for stream in streams]
        rows.append((str(seed), *values))
    return Table(("Seed", *streams), tuple(rows), text_columns=0)


def time_table(data: ReportData) -> Table:
    """Return a row per method: wall time of training steps alone and of whole runs, mean and sum.

    A training on a mixture counts in the mean of each of its tasks, and once in the sum.
    """
    timed = [record for record in data.records if record.timings]
    rows = []
    for name, *_ in data.variants:
        own = [record for record in timed if record.spec.method_name == name]
        if own:
            rows.append(_times(name, own))
    if len(rows) > 1:
        rows.append(_times("all", timed))
    columns = ("Method", "Runs", "Train, mean", "Train, sum", "Total, mean", "Total, sum")
    return Table(columns, tuple(rows))


def as_text(value: object) -> str:
    """Format a setting: `none`, `yes`, lists in brackets; quoted where its blanks would not show."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value if " ".join(value.split()) == value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {as_text(item)}" for key, item in value.items())
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_text, value))}]"
    return str(value)


def _settings(method: Spec) -> str:
    if isinstance(method, StackSpec):
        return "; ".join(f"{part.kind} ({_settings(part)})" for part in method.parts)
    settings = method.model_dump(exclude={"kind"})
    return ", ".join(f"{name}={as_text(value)}" for name, value in settings.items()) or NONE


def _data_reports(data: ReportData) -> list[tuple[str, DataReport]]:
    return [(record.spec.task_name, record.data) for record in data.records if record.data]


def _circumstances(data: ReportData) -> dict[str, Counter[str]]:
    """Return the number of runs by property and value."""
    environments = [circumstances(record.environment) for record in data.records if record.environment]
    names = dict.fromkeys(name for one in environments for name in one)
    return {name: Counter(one.get(name, "absent") for one in environments) for name in names}


def circumstances(environment: Environment) -> dict[str, str]:
    """Return the properties of a machine and its packages, by name in words."""
    values = environment.model_dump(exclude={"packages"})
    properties = {in_words(name): as_text(value) for name, value in values.items()}
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
    timed = [(one, one.timings) for one in records if one.timings]
    whole = [one.seconds or 0.0 for one, _ in timed]
    return (
        name,
        str(len(timed)),
        duration(sum(times.train for _, times in timed) / len(timed)),
        duration(sum(times.train for one, times in timed if not one.weights_of)),
        duration(sum(whole) / len(whole)),
        duration(sum(times.total for _, times in timed)),
    )
