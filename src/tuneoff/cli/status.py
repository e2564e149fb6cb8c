"""How far a study is, from its folder alone."""

from collections import Counter
from pathlib import Path

from rich.console import Console

from tuneoff.cli.live import watch as watch_folder
from tuneoff.cli.terminal import lasting_imports
from tuneoff.results import Contents, StudyFolder, read_folder


def print_status(folder: Path, console: Console, *, watch: bool) -> None:
    """Print how many runs are complete, and what stands in their way; first watch them, if asked for."""
    if watch:
        # a study that has just been started has not written its folder yet
        is_begun = StudyFolder(folder).study.is_file()
        watch_folder(folder, console, is_done=is_begun and _is_done(folder))
    found, races = _standing(folder)
    states = Counter(record.state for record in found.records)
    console.print(f"{states['complete']} of {len(found.plan)} runs complete", soft_wrap=True)
    for line in races:
        console.print(line, soft_wrap=True)
    for state, count in sorted(states.items()):
        if state != "complete":
            console.print(f"{count} {state.replace('_', ' ')}", soft_wrap=True)
    for one in found.excluded:
        console.print(f"excluded: {one.name}: {one.reason}", soft_wrap=True)
    if found.damaged:
        console.print("`tuneoff run` will compute damaged results again", soft_wrap=True)
    for note in found.notes:
        console.print(note, soft_wrap=True)
    if found.unrelated:
        console.print(
            f"{len(found.unrelated)} other results in the folder belong to no run of this study",
            soft_wrap=True,
        )


def _is_done(folder: Path) -> bool:
    found, _ = _standing(folder)
    return not found.pending(found.plan)


def _standing(folder: Path) -> tuple[Contents, list[str]]:
    """Return the results in a folder, and a line for each race."""
    found = read_folder(folder)
    if not found.study.race:
        return found, []
    with lasting_imports():
        from tuneoff.reporting import as_raced, race_lines
        from tuneoff.stats import read_evidence

    evidence = read_evidence(folder, found.records, found.baselines)
    found, courses = as_raced(found, lambda: evidence)
    return found, race_lines(found.study, courses)
