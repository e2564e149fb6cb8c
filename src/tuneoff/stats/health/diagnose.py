"""All findings about one run."""

from collections.abc import Callable

from tuneoff.stats.health.compared import no_effect, worse_than_baseline, worse_than_untouched
from tuneoff.stats.health.curves import contradictory, diverged, overfitted, undertrained
from tuneoff.stats.health.exposure import cut_off, leaked, seen_before, unknown_pieces
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.health.spread import accuracy_is_majority_share, collapsed

RULES: tuple[Callable[[RunEvidence], Finding | None], ...] = (
    diverged,
    no_effect,
    collapsed,
    worse_than_untouched,
    worse_than_baseline,
    contradictory,
    accuracy_is_majority_share,
    undertrained,
    overfitted,
    cut_off,
    unknown_pieces,
    leaked,
    seen_before,
)


def diagnose(run: RunEvidence) -> tuple[Finding, ...]:
    """What is to be said of a run, the gravest first; none is no proof of health where evidence is absent.

    A run that did not end has its state and nothing else.
    """
    if run.record.state not in ("complete", "diverged"):
        return ()
    rules = RULES if run.record.state == "complete" else (diverged,)
    return tuple(finding for rule in rules if (finding := rule(run)))
