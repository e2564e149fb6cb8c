import pytest

from helpers.model_table import BEGIN, END, PAGE, table


@pytest.mark.slow
def test_the_table_of_models_and_methods_is_what_tiny_models_show() -> None:
    documented = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert documented == table()
