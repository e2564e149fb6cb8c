"""What generated texts look like: empty, looping, taken from the input, or too good."""

from collections.abc import Sequence

import numpy as np

from tuneoff.spec import ClassificationSpec
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.health.spread import quoted
from tuneoff.words import words

EMPTY_SHARE = 0.05
"""Share of empty texts from which on they are worth a word; no reference is empty."""
WORDLESS_SHARE = 0.05
"""Share of references without a word from which on they are worth a word: each scores 0 in any ROUGE."""
LOOPING_SHARE = 0.05
"""Share of looping texts beyond the references' from which on they are worth a word."""
SHORTEST_LOOP = 10
"""Sequences of three that a text must have to be called looping: 12 words."""
REPEATED = 0.6
"""Share of different sequences of three, at most, in a text that loops: one that says all twice has .5 to .6,
ordinary text above .9."""
FEW_WORDS = 12
"""Texts of fewer words are read by characters: scripts without spaces, or one word over and over."""
COPIED_SHARE = 0.5
"""Share of answers taken from the input (where the reference is not) from which on the method copies."""
TOO_GOOD = 0.95
"""ROUGE-L of an answer that is its reference but for a word."""
TOO_GOOD_SHARE = 0.5
"""Share of such answers; of the best summarizers, hardly any is."""
LONG_REFERENCE = 20
"""Characters of a reference that is not repeated by chance or because it is the only possible answer."""
FEWEST_LONG = 20
"""Different long references, at least."""


def empty_texts(run: RunEvidence) -> Finding | None:
    """More than a few of the generated texts are empty."""
    answers = _texts(run)
    if answers is None:
        return None
    share = float(np.mean([not text.strip() for text in answers.predictions]))
    if share <= EMPTY_SHARE:
        return None
    return Finding("empty texts", f"{share:.1%} of {len(answers):,} test answers are empty")


def wordless_references(run: RunEvidence) -> Finding | None:
    """More than a few references have no word that ROUGE counts, so no answer to them scores above 0."""
    answers = _texts(run)
    if answers is None:
        return None
    wordless = [text for text in answers.references if not words(text)]
    if len(wordless) <= WORDLESS_SHARE * len(answers):
        return None
    return Finding(
        "references without words",
        f"{len(wordless):,} of {len(answers):,} test references ({len(wordless) / len(answers):.1%}) have no "
        f"word, such as {quoted(wordless[0])}: whatever is answered, ROUGE is 0 there",
    )


def looping(run: RunEvidence) -> Finding | None:
    """More texts than among the references say the same again and again."""
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
        f"{share:.1%} of {len(answers):,} test answers repeat themselves, such as {quoted(example)}",
    )


def copied_input(run: RunEvidence) -> Finding | None:
    """Most answers are taken from the input word for word, where the references are not."""
    answers = _texts(run)
    if answers is None or "copied" not in answers:
        return None
    share = float(np.nan_to_num(answers.numbers("copied")).mean())
    if share <= COPIED_SHARE:
        return None
    return Finding(
        "copied input",
        f"{share:.1%} of {len(answers):,} test answers are taken from the input word for word, where the "
        "reference is not",
    )


def too_good(run: RunEvidence) -> Finding | None:
    """Most answers are their reference, which a model cannot know: it may stand in the input."""
    answers = _texts(run)
    if answers is None:
        return None
    long = np.array([len(text) >= LONG_REFERENCE for text in answers.references])
    if len({*answers.references[long]}) < FEWEST_LONG:
        return None
    share = float((answers.scores(run.metric)[long] >= TOO_GOOD).mean())
    if share <= TOO_GOOD_SHARE:
        return None
    return Finding(
        "too good",
        f"{share:.1%} of {int(long.sum()):,} test answers are the reference almost word for word "
        f"({run.metric} of {TOO_GOOD} or more); it may stand in the prompt, or the rows in train",
    )


def loops(text: str) -> bool:
    """Whether a text says the same again and again, at its end or anywhere."""
    parts = text.casefold().split()
    units: Sequence[str] = parts if len(parts) >= FEW_WORDS else "".join(parts)
    count = len(units) - 2
    # few different units are a condition, and far cheaper to see
    if count < SHORTEST_LOOP or len(set(units)) > REPEATED * (count + 2):
        return False
    return len({tuple(units[at : at + 3]) for at in range(count)}) <= REPEATED * count


def _texts(run: RunEvidence) -> Answers | None:
    """The answers, where they are texts."""
    labels = isinstance(run.record.spec.task, ClassificationSpec)
    return None if labels or run.answers is None or not len(run.answers) else run.answers
