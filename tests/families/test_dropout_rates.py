import pytest

from helpers.models import tiny
from tuneoff.families import family_of
from tuneoff.families.dropout import has_dropout
from tuneoff.spec import DropoutSpec


@pytest.mark.parametrize("kind", ["opt", "led"])
def test_leaving_out_layers_is_not_set_by_a_study_and_makes_outputs_random(kind):
    family = family_of(tiny(kind))
    stack = family.stack("decoder")
    stack.layerdrop = 0.25
    family.set_dropout(DropoutSpec(encoder=0.0, decoder=0.0))
    assert stack.layerdrop == 0.25
    assert has_dropout(stack.modules())
    stack.layerdrop = 0.0
    assert not has_dropout(stack.modules())
