"""All findings about one run."""

from collections.abc import Callable

from tuneoff.stats.health.compared import (
    no_effect,
    scores_disagree,
    worse_than_baseline,
    worse_than_untouched,
)
from tuneoff.stats.health.curves import (
    contradictory,
    diverged,
    overfitted,
    undertrained,
    validation_gap,
    worsened,
)
from tuneoff.stats.health.exposure import cut_off, seen_before, unknown_pieces
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.health.labels import against_labels, one_label, too_few_to_tell, unrelated_to_labels
from tuneoff.stats.health.splits import contaminated, few_training_rows, repeated_rows, splits_overlap
from tuneoff.stats.health.spread import collapsed
from tuneoff.stats.health.texts import copied_input, empty_texts, looping, too_good, wordless_references

RULES: tuple[Callable[[RunEvidence], Finding | None], ...] = (
    diverged,
    no_effect,
    collapsed,
    worse_than_untouched,
    worse_than_baseline,
    contradictory,
    unrelated_to_labels,
    against_labels,
    splits_overlap,
    scores_disagree,
    undertrained,
    overfitted,
    worsened,
    validation_gap,
    cut_off,
    unknown_pieces,
    looping,
    empty_texts,
    wordless_references,
    copied_input,
    too_good,
    contaminated,
    seen_before,
    repeated_rows,
    few_training_rows,
    too_few_to_tell,
    one_label,
)


def diagnose(run: RunEvidence) -> tuple[Finding, ...]:
    """What is to be said of a run, the gravest first; none is no proof of health where evidence is absent.

    A run that did not end has its state and nothing else.
    """
    if run.record.state not in ("complete", "diverged"):
        return ()
    rules = RULES if run.record.state == "complete" else (diverged,)
    return tuple(finding for rule in rules if (finding := rule(run)))
