"""What a study may say about cutting LoRA."""

import pytest

from helpers import fabricated as made
from tuneoff.spec import expand, searches

STACK = {"kind": "stack", "parts": [{"kind": "lora"}, {"kind": "prefix"}]}
CUT_STACK = {"kind": "stack", "parts": [{"kind": "lora", "cuts": [0.5]}, {"kind": "prefix"}]}
SEARCH = {"trials": 2, "space": {"learning_rate": [1e-5, 1.0, "log"]}}


@pytest.mark.parametrize(
    ("plain", "with_cuts"),
    [({"kind": "lora"}, {"kind": "lora", "cuts": [0.5, 0.25]}), (STACK, CUT_STACK)],
    ids=["lora", "stack"],
)
def test_cuts_are_no_part_of_what_identifies_a_run(
    plain: dict[str, object], with_cuts: dict[str, object]
) -> None:
    (before,) = expand(made.a_study(methods={"one": plain}, seeds=[0]))
    (after,) = expand(made.a_study(methods={"one": with_cuts}, seeds=[0]))
    assert not before.cuts
    assert after.cuts
    assert after.run_id == before.run_id
    assert after.settings_key == before.settings_key


def test_cuts_are_no_part_of_what_identifies_a_search() -> None:
    plain, with_cuts = (
        searches(made.a_study(methods={"one": {"kind": "lora", "cuts": cuts}}, search=SEARCH))[0]
        for cuts in ([], [0.5])
    )
    assert plain.search_id == with_cuts.search_id


@pytest.mark.parametrize("cuts", [[0.0], [1.0], [0.5, 0.5], [-1.0]])
def test_cuts_are_different_shares_between_0_and_1(cuts: list[float]) -> None:
    with pytest.raises(ValueError, match="cuts"):
        made.a_study(methods={"one": {"kind": "lora", "cuts": cuts}})


def test_an_id_from_before_cuts_existed_is_still_that_of_the_run() -> None:
    (run,) = expand(made.a_study(methods={"lora": {"kind": "lora", "rank": 4}}, seeds=[0]))
    assert run.identifying_settings()["method"] == {"kind": "lora", "rank": 4}
