"""The estimate of a plan: what cannot run is refused in one message."""

from pathlib import Path

import pytest

from helpers import small
from tuneoff.errors import StudyError
from tuneoff.spec import expand
from tuneoff.study.estimate import estimate
from tuneoff.training import Session


@pytest.mark.slow
def test_a_run_that_another_library_refuses_is_named(tmp_path: Path) -> None:
    task = (
        "tasks={texts: {kind: summarization, source: {files: {train: train.csv, test: test.csv}}, "
        "prompt: '{text}', target: text, allow_target_in_prompt: true, num_beams: 2}}"
    )
    (run,) = expand(small.spec(tmp_path, [task, "methods={zero_shot: {kind: none}}", "ablations={}"]))[:1]
    # more tokens than a study may ask for
    longest = run.task.model_copy(update={"max_new_tokens": 2**63 - 1})
    with pytest.raises(StudyError, match="method 'zero_shot' cannot be run on task 'texts': "):
        estimate([run.model_copy(update={"task": longest})], Session())
