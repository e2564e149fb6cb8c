"""What a method costs apart from its score: storage, time and memory, from the records of its runs."""

from collections.abc import Iterable, Mapping, Sequence

from tuneoff.results import RunRecord
from tuneoff.spec import Preference

Prices = Mapping[str, float | None]
"""From the name of a price to its mean over runs; None where a run did not measure it."""
PRICE_OF: Mapping[Preference, str] = {
    "stored": "stored_bytes",
    "time": "training_seconds",
    "memory": "training_peak_bytes",
}
"""The price that a preference looks at; the score has none."""

FREE_UNTRAINED = frozenset({"stored_bytes", "trained_parameters", "training_seconds", "training_peak_bytes"})
"""The prices that are 0 where nothing is trained: there is nothing to store and nothing to train."""


def mean_prices(records: Iterable[RunRecord]) -> Prices:
    """Return the mean prices of a cell's runs."""
    runs = [_prices(record) for record in records]
    return {name: mean_price([one[name] for one in runs]) for name in _NAMES}


_NAMES = (
    *("stored_bytes", "trained_parameters", "training_seconds", "tokens_per_second"),
    *("training_peak_bytes", "inference_peak_bytes", "seconds_per_answer"),
)


def _prices(record: RunRecord) -> Prices:
    timings, counts = record.timings, record.footprint
    return {
        "stored_bytes": counts.stored_bytes if counts else None,
        "trained_parameters": counts.trainable if counts else None,
        "training_seconds": timings.train if timings else None,
        "tokens_per_second": timings.tokens_per_second if timings else None,
        "training_peak_bytes": timings.training_peak_bytes if timings else None,
        "inference_peak_bytes": timings.inference_peak_bytes if timings else None,
        "seconds_per_answer": 1 / timings.eval_samples_per_second if timings else None,
    }


def mean_price(values: Sequence[float | None]) -> float | None:
    """Return the mean of one price over runs; None if it is not known of all."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
