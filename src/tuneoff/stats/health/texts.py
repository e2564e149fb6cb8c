"""Check generated texts: empty, looping, copied from the input, or too good."""

from collections.abc import Sequence

import numpy as np

from tuneoff.stats.answers import Answers
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.health.spread import quoted
from tuneoff.words import words

EMPTY_SHARE = 0.05
"""Share of empty texts that triggers a warning; no reference is empty."""
WORDLESS_SHARE = 0.05
"""Share of references without a word that triggers a warning: each scores 0 in any ROUGE."""
LOOPING_SHARE = 0.05
"""Share of looping texts, beyond that of the references, that triggers a warning."""
SHORTEST_LOOP = 10
"""Sequences of three that a text must have to be called looping: 12 words."""
REPEATED = 0.6
"""Largest share of different sequences of three in a text that loops: text that is repeated once has .5 to
.6, ordinary text above .9."""
FEW_WORDS = 12
"""Texts of fewer words are split into characters: scripts without spaces, or one word over and over."""
COPIED_SHARE = 0.5
"""Share of predictions taken from the input (where the reference is not) that triggers a warning."""
TOO_GOOD = 0.95
"""ROUGE-L of a prediction that differs from its reference in about one word."""
TOO_GOOD_SHARE = 0.5
"""Share of such predictions that triggers a warning; even the best summarizers have hardly any."""
LONG_REFERENCE = 20
"""Characters of a reference that is not matched by chance or because nothing else could be right."""
FEWEST_LONG = 20
"""Least number of different long references."""
_OF_SHORT_ANSWERS = frozenset({"eval_exact_match", "eval_token_f1"})


def empty_texts(run: RunEvidence) -> Finding | None:
    """Report that many generated texts are empty."""
    answers = _texts(run)
    if answers is None:
        return None
    share = float(np.mean([not text.strip() for text in answers.predictions]))
    if share <= EMPTY_SHARE:
        return None
    return Finding("empty texts", f"{share:.1%} of {len(answers):,} test predictions are empty")


def wordless_references(run: RunEvidence) -> Finding | None:
    """Report that many references have no word that ROUGE counts, so that no prediction scores above 0."""
    answers = _texts(run)
    if answers is None or run.metric != "eval_rougeL":
        return None
    wordless = [text for text in answers.references if not words(text)]
    if len(wordless) <= WORDLESS_SHARE * len(answers):
        return None
    return Finding(
        "references without words",
        f"{len(wordless):,} of {len(answers):,} test references ({len(wordless) / len(answers):.1%}) have no "
        f"word, such as {quoted(wordless[0])}: ROUGE is 0 there for any prediction",
    )


def looping(run: RunEvidence) -> Finding | None:
    """Report that texts repeat themselves, more often than the references do."""
    answers = _texts(run)
    if answers is None:
        return None
    share = float(np.mean([loops(text) for text in answers.predictions]))
    if share <= LOOPING_SHARE or share <= LOOPING_SHARE + np.mean(
        [loops(text) for text in answers.references]
    ):
        return None
    example = next(text for text in answers.predictions if loops(text))
    return Finding(
        "looping",
        f"{share:.1%} of {len(answers):,} test predictions repeat themselves, such as {quoted(example)}",
    )


def copied_input(run: RunEvidence) -> Finding | None:
    """Report that most predictions are taken from the input word for word, where the references are not."""
    answers = _texts(run)
    if answers is None or "copied" not in answers:
        return None
    share = float(np.nan_to_num(answers.numbers("copied")).mean())
    if share <= COPIED_SHARE:
        return None
    return Finding(
        "copied input",
        f"{share:.1%} of {len(answers):,} test predictions are taken from the input word for word, where the "
        "reference is not",
    )


def too_good(run: RunEvidence) -> Finding | None:
    """Report that most predictions are their reference, which a model cannot know unless the input has it.

    Exact match and token F1 are for short answers, which a good model finds, often in the input.
    """
    answers = _texts(run)
    if answers is None or run.metric in _OF_SHORT_ANSWERS:
        return None
    long = np.array([len(text) >= LONG_REFERENCE for text in answers.references])
    if len({*answers.references[long]}) < FEWEST_LONG:
        return None
    share = float((answers.scores(run.metric)[long] >= TOO_GOOD).mean())
    if share <= TOO_GOOD_SHARE:
        return None
    return Finding(
        "too good",
        f"{share:.1%} of {int(long.sum()):,} test predictions are the reference almost word for word "
        f"({run.metric_name} of {TOO_GOOD} or more); it may be part of the prompt, or the rows part of train",
    )


def loops(text: str) -> bool:
    """Return whether a text repeats itself: few of its sequences of three words are different."""
    parts = text.casefold().split()
    units: Sequence[str] = parts if len(parts) >= FEW_WORDS else "".join(parts)
    count = len(units) - 2
    # few different sequences require few different units, which are far cheaper to count
    if count < SHORTEST_LOOP or len(set(units)) > REPEATED * (count + 2):
        return False
    return len({tuple(units[at : at + 3]) for at in range(count)}) <= REPEATED * count


def _texts(run: RunEvidence) -> Answers | None:
    """Return the predictions of a run if they are texts."""
    texts = run.record.spec.task.answer == "text"
    return run.answers if texts and run.answers is not None and len(run.answers) else None
