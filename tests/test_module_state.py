"""No module keeps state: what is cached hangs on a session that is passed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tuneoff

SOURCE = Path(tuneoff.__file__).parent
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
_CHANGING = {
    *("append", "extend", "insert", "remove", "pop", "popitem", "clear", "sort", "reverse"),
    *("add", "discard", "update", "setdefault", "move_to_end", "appendleft", "popleft"),
}


def _module_names(tree: ast.Module) -> set[str]:
    """Names that are bound at the module's level, but for imports, functions and classes."""
    return {
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for part in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        for target in ast.walk(part)
        if isinstance(target, ast.Name)
    }


def _own_names(function: ast.AST) -> set[str]:
    """Names that a function binds itself: its arguments and what it assigns."""
    return {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)} | {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def changes(tree: ast.Module) -> Iterator[str]:
    """What functions change of what their module holds."""
    names = _module_names(tree)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        held = names - _own_names(function)
        for node in ast.walk(function):
            match node:
                case ast.Global(names=changed):
                    yield f"global {', '.join(changed)}"
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in held:
                    yield f"{name}[...] in line {node.lineno}"
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=verb)) if (
                    name in held and verb in _CHANGING
                ):
                    yield f"{name}.{verb}() in line {node.lineno}"
                case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()) if name in held:
                    yield f"{name}.{node.attr} in line {node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_no_function_changes_what_its_module_holds(module: str) -> None:
    assert list(changes(ast.parse((SOURCE / module).read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_function_that_remembers_its_results_has_a_limit(module: str) -> None:
    unlimited = [
        function.name
        for function in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef) and function.args.args
        for decorator in map(ast.unparse, function.decorator_list)
        if decorator in ("cache", "functools.cache") or decorator.endswith("lru_cache(maxsize=None)")
    ]
    assert unlimited == []


def test_the_look_finds_each_kind_of_change() -> None:
    program = """
KEPT, ROWS, STATE = {}, [], object()
def change(key):
    global KEPT
    KEPT[key] = 1
    ROWS.append(key)
    STATE.value = key
    own = {}
    own[key] = 2
"""
    found = [one.split(" in line")[0] for one in changes(ast.parse(program))]
    assert sorted(found) == ["KEPT[...]", "ROWS.append()", "STATE.value", "global KEPT"]
