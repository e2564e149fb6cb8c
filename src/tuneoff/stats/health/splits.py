"""Check a run's splits: rows that several splits share, repeated rows, and too few rows."""

from collections.abc import Iterator

from tuneoff.results import DataReport, SplitReport
from tuneoff.stats.health.finding import Finding, RunEvidence

SAME_SHARE = 0.5
"""Share of a split's rows that are also in another split, that makes it an error: in data of short
texts that recur, splits share some rows, but hardly most."""
NEAR_SHARE = 0.01
"""Share of test rows that are in train in another spelling, that triggers a warning."""
VALIDATION_SHARE = 0.05
"""The same for validation rows in train and test rows in validation, which bias choices but not the score."""
REPEATED_SHARE = 0.05
"""Share of repeated test rows at or above which intervals are too narrow by more than 2.5%."""
FEWEST_TRAINING_ROWS = 50
"""Training rows below which another draw may well differ: a share among 50 is known to within .14."""


def overlapping_splits(run: RunEvidence) -> Finding | None:
    """Report that validation or test consists mostly of another split's rows."""
    data = run.record.data
    if data is None or not run.trained:
        return None
    trained_on = "the score is of rows that were trained on"
    chosen_on = "weights and settings were chosen on rows that were trained on"
    validation = data.validation
    messages = [
        *_mostly_shared(_in_train(data.test), _kept_rows(data.test), "test", "train", trained_on),
        *_mostly_shared(_in_train(validation), _kept_rows(validation), "validation", "train", chosen_on),
        *_validation_is_test(data),
    ]
    return Finding("overlapping splits", "; ".join(messages)) if messages else None


def contaminated(run: RunEvidence) -> Finding | None:
    """Report rows of test or validation that also occur in another split."""
    data = run.record.data
    if data is None or not run.trained:
        return None
    in_validation = data.test.validation_overlap or 0
    messages = [
        *_exactly_in_train(data.test),
        *_nearly_in_train(data.test),
        *_partly_shared(_in_train(data.validation), _kept_rows(data.validation), "validation", "train"),
        *_partly_shared(in_validation, _kept_rows(data.test), "test", "validation"),
    ]
    return Finding("contaminated", "; ".join(messages)) if messages else None


def repeated_rows(run: RunEvidence) -> Finding | None:
    """Report test rows that repeat one another, while intervals assume independent ones."""
    if run.record.data is None:
        return None
    test = run.record.data.test
    if test.repeated_inputs is None:  # a record from before these were counted
        repeated, rows = test.duplicates, test.read - test.empty
    else:
        repeated, rows = test.repeated_inputs, _kept_rows(test)
    if repeated <= REPEATED_SHARE * rows:
        return None
    return Finding(
        "repeated test rows",
        f"{repeated:,} of {rows:,} test rows have the input of an earlier one, so they are worth at most "
        f"{rows - repeated:,}; intervals and p-values count each of them",
    )


def few_training_rows(run: RunEvidence) -> Finding | None:
    """Report so few training rows that another draw of them may give another result."""
    if run.record.data is None or not run.trained:
        return None
    used = run.record.data.train.used
    if used >= FEWEST_TRAINING_ROWS:
        return None
    return Finding("few rows", f"{used:,} training rows: another draw of them may give another result")


def _mostly_shared(shared: int, rows: int, split: str, other: str, consequence: str) -> Iterator[str]:
    if shared >= SAME_SHARE * rows > 0:
        share = f"{shared:,} of {rows:,} {split} rows ({shared / rows:.0%})"
        yield f"{share} have an input of {other}: {consequence}"


def _validation_is_test(data: DataReport) -> Iterator[str]:
    consequence = "weights and settings were chosen on the rows that are scored"
    validation_digest, test_digest = data.digests.get("validation"), data.digests.get("test")
    if validation_digest is not None and validation_digest == test_digest:
        yield f"validation and test are the same rows (equal digests): {consequence}"
    else:
        shared = data.test.validation_overlap or 0
        yield from _mostly_shared(shared, _kept_rows(data.test), "test", "validation", consequence)


def _exactly_in_train(test: SplitReport) -> Iterator[str]:
    shared, rows = test.overlap - test.dropped_overlap, _kept_rows(test)
    if shared > 0 and _in_train(test) < SAME_SHARE * rows:
        yield (
            f"{shared:,} of {rows:,} test rows ({shared / rows:.2%}) have an input that also occurs in "
            "train; drop_overlap excludes them"
        )


def _nearly_in_train(test: SplitReport) -> Iterator[str]:
    near, rows = test.near_overlap or 0, _kept_rows(test)
    if near > NEAR_SHARE * rows and _in_train(test) < SAME_SHARE * rows:
        yield (
            f"{near:,} of {rows:,} test rows ({near / rows:.2%}) have an input that occurs in train, except "
            "for case, spaces and punctuation"
        )


def _partly_shared(shared: int, rows: int, split: str, other: str) -> Iterator[str]:
    if VALIDATION_SHARE * rows < shared < SAME_SHARE * rows:
        yield f"{shared:,} of {rows:,} {split} rows ({shared / rows:.2%}) have an input of {other}"


def _in_train(split: SplitReport) -> int:
    """Count the rows that are also in train, in any spelling, without those that were dropped."""
    return split.overlap - split.dropped_overlap + (split.near_overlap or 0)


def _kept_rows(split: SplitReport) -> int:
    """Count the rows that are neither empty nor dropped."""
    return split.read - split.empty - split.dropped_overlap
