"""Draft a study for a user's data: look at it, guess the task, and write a commented study file."""

from tuneoff.draft.draft import as_study, draft_study, label_texts
from tuneoff.draft.guess import Guess, guess_task
from tuneoff.draft.look import Column, Look, look_at, source_of, study_name
from tuneoff.draft.write import Draft, written

__all__ = [
    "Column",
    "Draft",
    "Guess",
    "Look",
    "as_study",
    "draft_study",
    "guess_task",
    "label_texts",
    "look_at",
    "source_of",
    "study_name",
    "written",
]
