"""Run all health checks on one run."""

from collections.abc import Callable

from tuneoff.stats.health.compared import (
    no_effect,
    score_mismatch,
    worse_than_baseline,
    worse_than_zero_shot,
)
from tuneoff.stats.health.curves import (
    contradictory,
    diverged,
    overfitted,
    undertrained,
    validation_gap,
    worsened,
)
from tuneoff.stats.health.exposure import seen_before, truncated, unknown_tokens
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.health.labels import below_chance, chance_level, single_label, too_few_to_tell
from tuneoff.stats.health.splits import contaminated, few_training_rows, overlapping_splits, repeated_rows
from tuneoff.stats.health.spread import collapsed
from tuneoff.stats.health.texts import copied_input, empty_texts, looping, too_good, wordless_references

RULES: tuple[Callable[[RunEvidence], Finding | None], ...] = (
    diverged,
    no_effect,
    collapsed,
    worse_than_zero_shot,
    worse_than_baseline,
    contradictory,
    chance_level,
    below_chance,
    overlapping_splits,
    score_mismatch,
    undertrained,
    overfitted,
    worsened,
    validation_gap,
    truncated,
    unknown_tokens,
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
    single_label,
)


def diagnose(run: RunEvidence) -> tuple[Finding, ...]:
    """Return the findings about a run, errors first.

    Checks whose evidence is absent are skipped, so no findings are no proof of health. A run that ended
    without a result has its state and no findings.
    """
    if run.record.state not in ("complete", "diverged"):
        return ()
    rules = RULES if run.record.state == "complete" else (diverged,)
    return tuple(finding for rule in rules if (finding := rule(run)))
