"""Check what a run saw: texts that were cut, unknown tokens, and data the model was trained on before."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tuneoff.results import RunRecord, SplitReport
from tuneoff.spec import BuiltinSource, HubSource, SplitName
from tuneoff.stats.health.finding import Finding, RunEvidence

TRUNCATED_SHARE = 0.05
"""Share of truncated texts or rows that triggers a warning: fewer change a mean by less than its noise."""


def truncated(run: RunEvidence) -> Finding | None:
    """Report that many generated texts reach the limit, or many rows were cut to fit."""
    cuts = [f"{cut.share:.1%} of the {cut.texts}" for cut in _cuts(run) if cut.share > TRUNCATED_SHARE]
    return Finding("truncated", "; ".join(cuts)) if cuts else None


class _Cut(NamedTuple):
    share: float
    texts: str
    """The texts that are cut, and by which limit."""


def _cuts(run: RunEvidence) -> Iterator[_Cut]:
    generated = truncated_share(run)
    if generated is not None:
        yield _Cut(generated, "generated texts reach the limit of tokens without an end")
    if run.record.data is None:
        return
    task = run.record.spec.task
    splits: tuple[SplitName, ...] = ("train", "validation", "test") if run.trained else ("test",)
    for name in splits:
        split: SplitReport = getattr(run.record.data, name)
        used = max(1, split.used)
        yield _Cut(
            split.truncated_inputs / used,
            f"{name} inputs are cut to max_source_length={task.max_source_length} tokens",
        )
        yield _Cut(
            split.truncated_targets / used,
            f"{name} references are cut to max_target_length={task.max_target_length} tokens for the loss",
        )


def truncated_share(run: RunEvidence) -> float | None:
    """Return the share of generated texts that reach the limit without an end; None where it is unknown.

    A cut text that names a label counts as complete.
    """
    if run.answers is None or "cut" not in run.answers:
        return None
    cut = run.answers.numbers("cut")
    known = ~np.isnan(cut)
    if not known.any():
        return None
    without_end = cut == 1
    if run.record.spec.task.answer == "label":
        without_end &= run.answers.predictions == ""
    return float(without_end[known].mean())


UNKNOWN_SHARE = 0.01
"""Share of unknown tokens that triggers a warning: text in a tokenizer's own languages has far fewer."""


def unknown_tokens(run: RunEvidence) -> Finding | None:
    """Report that many tokens of a split stand for text that the tokenizer cannot represent."""
    if run.record.data is None:
        return None
    splits: tuple[SplitName, ...] = ("train", "validation", "test") if run.trained else ("test",)
    shares = []
    for name in splits:
        split: SplitReport = getattr(run.record.data, name)
        if split.pieces and split.unknown_pieces and split.unknown_pieces > UNKNOWN_SHARE * split.pieces:
            shares.append(f"{split.unknown_pieces / split.pieces:.1%} of the {name} tokens")
    if not shares:
        return None
    return Finding(
        "unknown tokens",
        f"{', '.join(shares)} are unknown to the tokenizer: the model does not see that text; use a "
        "model whose tokenizer supports the language",
    )


class _Seen(NamedTuple):
    model: str
    """Pattern of the last part of a model's id."""
    task: str
    """Pattern of a task's name or source."""
    fact: str


_FLAN = "is part of the FLAN mixture that Flan-T5 was tuned on (Longpre et al. 2023)"
_T5 = "is part of the supervised mixture that T5 1.0 was trained on (Raffel et al. 2020)"
_SST2 = r"(?<![a-z0-9])sst[-_ ]?2(?![0-9])|stanford[-_ ]?sentiment"
_OF_BOTH = {"SST-2": _SST2} | {
    name: rf"(?<![a-z0-9]){name.casefold()}(?![a-z0-9])"
    for name in ("CoLA", "MRPC", "RTE", "BoolQ", "CB", "COPA", "WiC")
}
_OF_FLAN = _OF_BOTH | {"SAMSum": r"samsum", "XSum": r"(?<![a-z0-9])xsum"}
_SEEN = (
    *(_Seen(r"flan[-_]?(t5|ul2)", task, f"{name} {_FLAN}") for name, task in _OF_FLAN.items()),
    *(_Seen(r"^t5-(small|base|large|3b|11b)$", task, f"{name} {_T5}") for name, task in _OF_BOTH.items()),
)


def seen_before(run: RunEvidence) -> Finding | None:
    """Report a model that is known to have been trained on this task before."""
    model = run.record.spec.model.id.rstrip("/").rpartition("/")[2].casefold()
    names = [name.casefold() for name in _task_names(run.record)]
    for seen in _SEEN:
        if re.search(seen.model, model) and any(re.search(seen.task, name) for name in names):
            return Finding("contaminated", f"{seen.fact}: '{model}' is not new to this task, tuned or not")
    return None


def _task_names(record: RunRecord) -> tuple[str, ...]:
    source = record.spec.task.source
    if isinstance(source, HubSource):
        return (record.spec.task_name, source.hub, source.config or "")
    if isinstance(source, BuiltinSource):
        return (source.builtin,)
    return (record.spec.task_name, *source.files.values())
