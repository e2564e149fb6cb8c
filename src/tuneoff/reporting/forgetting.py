"""Say what tuning makes the model forget: an entry beside the scores, and a sentence beside a decision."""

from tuneoff.phrases import listed
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.formatting import ABSENT, signed, signed_span
from tuneoff.stats import Cell, TaskSize

FORGETTING_COLUMN = "Forgetting"


def forgetting_columns(data: ReportData) -> tuple[str, ...]:
    """Return the column of `forgetting_entry`; none if the study does not measure forgetting."""
    return (FORGETTING_COLUMN,) if data.study.forgetting else ()


def forgetting_entry(data: ReportData, cell: Cell) -> str:
    """Return the increase of a cell's loss with its interval: `+0.123 (+0.101 to +0.145)`."""
    found = data.judgement.forgotten.get(cell)
    if found is None:
        return ABSENT
    if cell.method in data.untrained:
        return "0"
    return f"{signed(found.increase.mean)} ({signed_span(found.increase.low, found.increase.high)})"


def forgetting_sentence(data: ReportData, place: TaskSize) -> str:
    """Return that the recommended candidate forgets more than others that are as good; empty if none does."""
    more = data.judgement.forgets_more.get(place, ())
    if not more:
        return ""
    others = listed(
        f"{one.other} (by {signed(one.difference.mean)} nats per token, 95% interval "
        f"{signed_span(one.difference.low, one.difference.high)})"
        for one in more
    )
    return f"On general text {more[0].method} forgets more than {others}, with no better score shown for it."
