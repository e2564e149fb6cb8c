"""The live view of a study: in the terminal that runs it, and from the files of its folder alone.

`draw` makes lines of an `Activity`; nothing here needs torch.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from tuneoff.errors import visible
from tuneoff.results import Activity, Count, StudyFolder, Training, read_activity

REFRESHES = 2.0
"""Times in a second that a view is drawn."""
_EVERY = 2.0
"""Seconds between two looks into a folder."""
_PATIENCE = 60.0
"""Seconds to wait for a process that begins to work on a study, and for news of one before it is said that
there are none."""
_BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_ASCII_BARS = "_.-=^"
_WIDEST_CURVE = 16
_LEAST_NAME = 16
"""Columns of a name that are kept as long as something else can be left out."""
_BAR = 24


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
    room = max(1, height - len(lines) - 3)
    shown = activity.running if len(activity.running) <= room else activity.running[: room - 1]
    lines += _trainings(shown, width, ascii_only)
    if more := len(activity.running) - len(shown):
        lines.append(f"  and {more} more")
    lines.append(time_line(activity))
    return [_cut(line, width) for line in lines]


def time_line(activity: Activity) -> str:
    """Return how long a study has taken and is expected to take."""
    left = "time left not known yet" if activity.left is None else f"about {rough(activity.left)} left"
    return f"{rough(activity.seconds)} so far, {left}"


def rough(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `7 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def curve(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Return values as bars of a text, from the lowest to the highest of them; the last `width` at most."""
    bars, values = _ASCII_BARS if ascii_only else _BARS, values[-width:]
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
    length = min(_BAR, width - len(name) - len(text) - 2)
    if length < 4:
        return f"{name} {text}"
    filled = length * min(count.done, count.total) // count.total
    return f"{name:6} {full * filled}{empty * (length - filled)} {text}"


def _trainings(trainings: Sequence[Training], width: int, ascii_only: bool) -> list[str]:
    """Return a line for each training, in columns; a narrow view has fewer of them."""
    longest = max((cell_len(_in_a_line(one.name)) for one in trainings), default=0)
    # what is left out first comes last; the curve is made shorter before that
    for kept, curve_width in ((5, _WIDEST_CURVE), (5, 8), (4, 8), (3, 8), (3, 4), (2, 0), (1, 0)):
        columns = [_columns(one, curve_width, ascii_only)[:kept] for one in trainings]
        widths = [max(map(cell_len, column)) for column in zip(*columns, strict=True)]
        name = width - 2 - sum(2 + one for one in widths)
        if name >= min(longest, _LEAST_NAME):
            break
    return [
        "  "
        + "  ".join(
            [
                set_cell_size(_shortened(_in_a_line(one.name), name, ascii_only), min(longest, name)),
                *map(set_cell_size, row, widths),
            ]
        ).rstrip()
        for one, row in zip(trainings, columns, strict=True)
    ]


def _columns(one: Training, curve_width: int, ascii_only: bool) -> list[str]:
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
