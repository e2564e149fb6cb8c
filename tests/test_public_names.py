"""What each package offers is what it lists."""

import importlib
import types

import pytest


@pytest.mark.parametrize(
    "package", ["families", "methods", "reporting", "results", "spec", "stats", "study", "tasks", "training"]
)
def test_a_package_lists_the_public_names_that_it_binds(package: str) -> None:
    module = importlib.import_module(f"tuneoff.{package}")
    bound = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(module.__all__) == bound
    assert len(module.__all__) == len(bound)
