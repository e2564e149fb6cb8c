"""Whether the rows of a run's splits are apart, different from one another, and enough."""

from collections.abc import Iterator

from tuneoff.spec import DataReport, SplitReport
from tuneoff.stats.health.finding import Finding, RunEvidence

SAME_SHARE = 0.5
"""Share of a split's rows that another one holds as well, from which on they are called the same rows: where
a few sentences are said again and again, splits share some, but hardly most."""
NEAR_SHARE = 0.01
"""Share of test rows that train holds in other spelling, from which on they are worth a word."""
VALIDATION_SHARE = 0.05
"""The same for validation rows in train and test rows in validation: they sway a choice, not the score."""
REPEATED_SHARE = 0.05
"""Share of repeated test rows from which on intervals are too narrow by more than 2.5%."""
FEWEST_TRAINING_ROWS = 50
"""Training rows below which it is chance which ones were drawn: a share of them is known to within .14."""


def overlapping_splits(run: RunEvidence) -> Finding | None:
    """Validation or test is mostly made of another split's rows."""
    data = run.record.data
    if data is None or not run.trained:
        return None
    told = [
        *_same(
            _in_train(data.test), _left(data.test), "test", "train", "the score is of rows that were learned"
        ),
        *_same(
            _in_train(data.validation),
            _left(data.validation),
            "validation",
            "train",
            "weights and settings were chosen on rows that were learned",
        ),
        *_validation_is_test(data),
    ]
    return Finding("overlapping splits", "; ".join(told)) if told else None


def contaminated(run: RunEvidence) -> Finding | None:
    """Some rows of test or validation also occur in another split."""
    data = run.record.data
    if data is None or not run.trained:
        return None
    told = [*_exact(data.test), *_near(data.test)]
    told += _some(_in_train(data.validation), _left(data.validation), "validation", "train")
    told += _some(data.test.validation_overlap or 0, _left(data.test), "test", "validation")
    return Finding("contaminated", "; ".join(told)) if told else None


def repeated_rows(run: RunEvidence) -> Finding | None:
    """Test rows repeat one another, while intervals take them for independent ones."""
    if run.record.data is None:
        return None
    test = run.record.data.test
    repeated = test.duplicates if test.repeated_inputs is None else test.repeated_inputs
    rows = _left(test) if test.repeated_inputs is not None else test.read - test.empty
    if repeated <= REPEATED_SHARE * rows:
        return None
    return Finding(
        "repeated test rows",
        f"{repeated:,} of {rows:,} test rows have the input of an earlier one, so they are worth at most "
        f"{rows - repeated:,}; intervals and p-values count each of them",
    )


def few_training_rows(run: RunEvidence) -> Finding | None:
    """So few training rows that another draw of them may give another result."""
    if run.record.data is None or not run.trained:
        return None
    used = run.record.data.train.used
    if used >= FEWEST_TRAINING_ROWS:
        return None
    return Finding("few rows", f"{used:,} training rows: what is learned depends on which ones they are")


def _same(shared: int, rows: int, split: str, other: str, so: str) -> Iterator[str]:
    if shared >= SAME_SHARE * rows > 0:
        yield f"{shared:,} of {rows:,} {split} rows ({shared / rows:.0%}) have an input of {other}: {so}"


def _validation_is_test(data: DataReport) -> Iterator[str]:
    so = "weights and settings were chosen on the rows that are scored"
    digests = [data.digests.get(split) for split in ("validation", "test")]
    if digests[0] is not None and digests[0] == digests[1]:
        yield f"validation and test are the same rows (equal digests): {so}"
    else:
        yield from _same(data.test.validation_overlap or 0, _left(data.test), "test", "validation", so)


def _exact(test: SplitReport) -> Iterator[str]:
    shared, rows = test.overlap - test.dropped_overlap, _left(test)
    if shared > 0 and _in_train(test) < SAME_SHARE * rows:
        yield (
            f"{shared:,} of {rows:,} test rows ({shared / rows:.2%}) have an input that also occurs in "
            "train; drop_overlap leaves them out"
        )


def _near(test: SplitReport) -> Iterator[str]:
    near, rows = test.near_overlap or 0, _left(test)
    if near > NEAR_SHARE * rows and _in_train(test) < SAME_SHARE * rows:
        yield (
            f"{near:,} of {rows:,} test rows ({near / rows:.2%}) have an input that occurs in train but for "
            "case, spaces and punctuation"
        )


def _some(shared: int, rows: int, split: str, other: str) -> Iterator[str]:
    if VALIDATION_SHARE * rows < shared < SAME_SHARE * rows:
        yield f"{shared:,} of {rows:,} {split} rows ({shared / rows:.2%}) have an input of {other}"


def _in_train(split: SplitReport) -> int:
    """Rows left that train holds as well, in whatever spelling."""
    return split.overlap - split.dropped_overlap + (split.near_overlap or 0)


def _left(split: SplitReport) -> int:
    return split.read - split.empty - split.dropped_overlap
