"""The live view of a study: in the terminal that runs it, and from the files of its folder alone.

`draw` makes lines of an `Activity`; nothing here needs torch.
"""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from tuneoff.errors import visible
from tuneoff.results import Activity, Count, StudyFolder, Training, means, read_activity

REFRESHES = 2.0
"""Times in a second that a view is drawn."""
_EVERY = 2.0
"""Seconds between two looks into a folder."""
_PATIENCE = 60.0
"""Seconds to wait for a process that begins to work on a study, and for news of one before it is said that
there are none."""
_BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ASCII_BARS = "_.-=^"
_BAR, _NAMES = 24, 6
"""Columns of the longest bar, and of what stands before it."""
_GAP = 2
"""Columns between fields, and before the first."""
_LAYOUTS = ((5, 16), (5, 8), (4, 8), (3, 8), (3, 4), (2, 0), (1, 0))
"""How many fields a training has, and how wide its curve is; the first that fits is taken."""
_BESIDE = 5
"""How many of these may stand beside a name: those with a curve."""


class View:
    """What a study is doing, drawn for the width and height of a console each time that it is shown."""

    def __init__(self, activity: Callable[[], Activity]) -> None:
        self._activity = activity

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = draw(
            self._activity(), width=options.max_width, height=console.height, ascii_only=options.ascii_only
        )
        yield Text("\n".join(lines), no_wrap=True, overflow="crop")


def draw(activity: Activity, *, width: int, height: int = 24, ascii_only: bool = False) -> list[str]:
    """Return the lines of a view: what is done, a line for each training under way, and the time left."""
    lines = []
    if activity.trials.total:
        lines.append(_counted("trials", activity.trials, [], width, ascii_only))
    if activity.runs.total:
        running = len(activity.running) if activity.stage == "runs" else 0
        waiting = activity.runs.total - activity.runs.done - running
        notes = [f"{running} running", f"{waiting} waiting"]
        lines.append(_counted("runs", activity.runs, notes, width, ascii_only))
    trainings = _trainings(activity.running, width, ascii_only) if activity.running else []
    room = height - len(lines) - 2
    if trainings and sum(map(len, trainings)) > room:
        shown = max(0, (room - 1) // max(map(len, trainings)))
        trainings = [*trainings[:shown], (f"{'':{_GAP}}and {len(trainings) - shown} more",)]
    lines += chain.from_iterable(trainings)
    lines.append(time_line(activity))
    return [_cut(line, width) for line in lines]


def time_line(activity: Activity) -> str:
    """Return how long a study has taken and is expected to take."""
    so_far = f"{rough(activity.seconds)} so far"
    if activity.stage == "checks":
        return f"{so_far}, checking model and data"
    if activity.stage == "runs" and activity.runs.done == activity.runs.total:
        return so_far
    if activity.left is None:
        return f"{so_far}, time left not known yet"
    return f"{so_far}, about {rough(activity.left)} left"


def rough(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `2 min 50 s`, `17 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 595:
        minutes, rest = divmod(round(seconds, -1), 60)
        return f"{minutes:.0f} min {rest:.0f} s" if rest else f"{minutes:.0f} min"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def curve(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Return values as bars of a text, from the lowest to the highest; of more than `width`, means."""
    bars, values = _ASCII_BARS if ascii_only else _BARS, means(values, width)
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low == high:
        return bars[0] * len(values)
    return "".join(bars[round((value - low) / (high - low) * (len(bars) - 1))] for value in values)


def watch(
    folder: Path,
    console: Console,
    *,
    is_done: bool,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show what a study is doing until no process works on it, from the files of its folder alone.

    Returns at once if the study is done and no process works on it.
    """
    place, begun = StudyFolder(folder), clock()
    activity, seen = read_activity(place), clock()
    said = ""
    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        while activity is not None or not (is_done or clock() - begun > _PATIENCE):
            lines = _watched(activity, clock() - seen, console)
            if is_live(console):
                live.update(Text("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)
            elif lines[0] != said:
                said = lines[0]
                console.print(said, soft_wrap=True)
            sleep(_EVERY)
            found = read_activity(place)
            if found is None and activity is not None:
                return
            if found != activity:
                activity, seen = found, clock()


def is_live(console: Console) -> bool:
    """Return whether lines on a console can be drawn anew."""
    return console.is_terminal and not console.is_dumb_terminal


def in_one_line(activity: Activity) -> str:
    """Return how far a study is, in a line."""
    parts = []
    if activity.stage == "search":
        parts.append(f"{activity.trials.done} of {activity.trials.total} trials")
    elif activity.runs.total:
        parts.append(f"{activity.runs.done} of {activity.runs.total} runs")
    if activity.left is not None:
        parts.append(f"about {rough(activity.left)} left")
    return ", ".join(parts)


def _watched(activity: Activity | None, age: float, console: Console) -> list[str]:
    """Return the lines for an activity that was read so many seconds ago; one line if they stay there."""
    if activity is None:
        return ["no process works on this study; waiting for one"]
    if not is_live(console):
        return [in_one_line(activity)]
    # from the time that has passed here: clocks of two machines need not agree
    left = None if activity.left is None else max(0.0, activity.left - age)
    running = tuple(one.model_copy(update={"seconds": one.seconds + age}) for one in activity.running)
    now = activity.model_copy(update={"seconds": activity.seconds + age, "left": left, "running": running})
    lines = draw(now, width=console.width, height=console.height - 1, ascii_only=console.options.ascii_only)
    if age > _PATIENCE:
        lines.append(_cut(f"no news for {rough(age)}; its process may be busy, or have ended", console.width))
    return lines


def _counted(name: str, count: Count, notes: list[str], width: int, ascii_only: bool) -> str:
    """Return a line with a bar; a narrow one has none."""
    full, empty = ("=", "-") if ascii_only else ("\u2501", "\u2500")
    text = ", ".join([f"{count.done} of {count.total} done", *notes])
    length = min(_BAR, width - _NAMES - len(text) - 2)
    if length < 4:
        return f"{name} {text}"
    filled = length * min(count.done, count.total) // count.total
    return f"{name:{_NAMES}} {full * filled}{empty * (length - filled)} {text}"


def _trainings(trainings: Sequence[Training], width: int, ascii_only: bool) -> list[tuple[str, ...]]:
    """Return the lines of each training: one, or two where its fields do not fit beside its name."""
    names = [_in_a_line(one.name) for one in trainings]
    longest, gap = max(map(cell_len, names)), " " * _GAP
    if rows := _rows(trainings, _LAYOUTS[:_BESIDE], width - longest - 2 * _GAP, ascii_only):
        return [
            (f"{gap}{set_cell_size(name, longest)}{gap}{row}",) for name, row in zip(names, rows, strict=True)
        ]
    rows = _rows(trainings, _LAYOUTS, width - 2 * _GAP, ascii_only) or [""] * len(names)
    return [
        (f"{gap}{_shortened(name, width - _GAP, ascii_only)}", f"{gap}{gap}{row}")
        for name, row in zip(names, rows, strict=True)
    ]


def _rows(
    trainings: Sequence[Training], layouts: Sequence[tuple[int, int]], room: int, ascii_only: bool
) -> list[str]:
    """Return the fields of each training, as many as there is room for; nothing if none fits."""
    for kept, curve_width in layouts:
        fields = [_fields(one, curve_width, ascii_only)[:kept] for one in trainings]
        widths = [max(map(cell_len, column)) for column in zip(*fields, strict=True)]
        if sum(widths) + _GAP * (kept - 1) <= room:
            return [(" " * _GAP).join(map(set_cell_size, row, widths)).rstrip() for row in fields]
    return []


def _fields(one: Training, curve_width: int, ascii_only: bool) -> list[str]:
    """Return step, loss, curve, score and time of a training."""
    return [
        f"{one.step}/{one.steps}" if one.steps else "",
        f"{one.loss:.3f}" if one.loss is not None else "",
        curve(one.losses, curve_width, ascii_only=ascii_only) if curve_width else "",
        f"{one.metric} {one.score:.3f}" if one.score is not None else "",
        rough(one.seconds),
    ]


def _shortened(name: str, width: int, ascii_only: bool) -> str:
    """Return a name of at most this width: its middle is left out, as its end has the seed."""
    gap = "~" if ascii_only else "\u2026"
    if cell_len(name) <= width or width < 3:
        return name
    end = (width - 1) // 2
    return f"{set_cell_size(name, width - 1 - end).rstrip()}{gap}{name[-end:]}"


def _in_a_line(name: str) -> str:
    return visible(name.replace("\n", " ").replace("\t", " "))


def _cut(line: str, width: int) -> str:
    return line if cell_len(line) <= width else set_cell_size(line, width)
