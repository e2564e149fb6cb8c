import pytest

from helpers.method_table import BEGIN, END, PAGE, lines, tried


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's, of FROD
def test_the_table_of_methods_has_every_kind_and_is_what_tiny_models_show() -> None:
    documented = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    expected = [tried(name, fitted) for name, (fitted, _) in lines().items()]
    assert [row.rsplit("|", 5)[0] + "|" for row in documented] == expected
