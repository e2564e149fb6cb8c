"""What tuneoff uses of other libraries beyond their public API, each in one module only.

A library may change such a name in any release. Then exactly one module is to be changed, and the test named
here, or the import itself, fails.
"""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import tuneoff

SOURCE = Path(tuneoff.__file__).parent

PRIVATE_NAMES = {
    # tests/methods/contract.py: a detached method restores the attention
    "_attn_implementation": "kernels/attention.py",
    # tests/study: a worker whose driver is gone
    "_exit": "study/executor.py",
}
"""Names that begin with an underscore, asked of an object of another library."""

INNER_NAMES = {
    # tests/study/test_ray_executor.py: a cluster of one's own is heard by this machine alone
    "ray._private.ray_constants": ["study/ray_cluster.py"],
    # tests/kernels/test_attention.py compares with it
    "transformers.integrations.sdpa_attention.sdpa_attention_forward": ["kernels/attention.py"],
    "transformers.masking_utils.sdpa_mask": ["kernels/attention.py"],
    # tests/families/test_cache.py: it grows as transformers' own does
    "transformers.cache_utils.DynamicLayer": ["families/cache.py"],
    # tests/kernels/test_fast_modules.py counts what is replaced
    "transformers.activations.NewGELUActivation": ["kernels/model.py"],
    "transformers.activations.ACT2FN": [
        "families/bart_config.py",
        "families/causal_config.py",
        "families/t5_config.py",
    ],
    "transformers.modeling_outputs.BaseModelOutput": [
        "families/encoder_context.py",
        "families/whole_context.py",
    ],
    "transformers.models.auto.tokenization_auto.tokenizer_class_from_name": ["training/tokenizer.py"],
    "transformers.optimization.Adafactor": ["training/optim.py"],
}
"""Names imported from inside transformers, PEFT, torch and Ray instead of their top level; they may move."""

PUBLIC_UNDERSCORES = {"_asdict", "_replace", "_fields", "_make"}
"""Public methods of named tuples."""


@cache
def _trees() -> dict[str, ast.Module]:
    paths = sorted(SOURCE.rglob("*.py"))
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths
    }


def _is_own(value: ast.expr) -> bool:
    """Return whether an attribute is asked of the class or the module that defines it."""
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


@pytest.mark.slow
def test_private_names_of_other_libraries_are_used_in_one_module_each() -> None:
    found = defaultdict[str, set[str]](set)
    defined = set[str]()
    for place, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
                if _is_own(node.value):
                    defined.add(node.attr)
                else:
                    found[node.attr].add(place)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined.add(node.name)
    of_others = {name: places for name, places in found.items() if name not in defined | PUBLIC_UNDERSCORES}
    assert of_others == {name: {place} for name, place in PRIVATE_NAMES.items()}


def test_names_inside_other_libraries_are_imported_where_the_table_says() -> None:
    found = defaultdict[str, set[str]](set)
    for place, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                library, _, inner = node.module.partition(".")
                # torch and Ray document their submodules; an underscore marks the private ones
                is_private = any(part.startswith("_") for part in inner.split("."))
                is_inner = inner if library in ("transformers", "peft") else is_private
                if is_inner and library in ("transformers", "peft", "torch", "ray"):
                    for name in node.names:
                        found[f"{node.module}.{name.name}"].add(place)
    assert {name: sorted(places) for name, places in found.items()} == INNER_NAMES
