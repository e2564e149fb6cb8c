"""Read and write YAML as study files use it: YAML 1.2 scalars, no duplicate keys, bounded size."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import yaml

from tuneoff.errors import shown

MOST_BYTES, MOST_VALUES, MOST_LEVELS = 10_000_000, 100_000, 100
"""Limits of a study file: its bytes, its values (those of an alias each time it is used), nested levels."""
_MOST_DIGITS = 100
_TAG = "tag:yaml.org,2002:"
_NOT_RESOLVED = ("bool", "timestamp", "value")
_KINDS = {"str", "int", "float", "bool", "null", "seq", "map", "timestamp", "merge", "value"}


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars (`1e-4` is a number; `no`, `=`, dates are text), no duplicate keys, bounded size."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in _NOT_RESOLVED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = self._levels = 0
        self._sizes: dict[int, int] = {}
        """Values in each node, by its `id`."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """Count values before objects are made of them, so that a small file cannot grow into gigabytes.

        An alias counts as many values as its anchor holds, each time that it is used.
        """
        before, alias = self._values, self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_LEVELS} levels are nested", mark)
        node: yaml.Node = super().compose_node(parent, index)
        self._levels -= 1
        # PyYAML gives an alias the node of its anchor; a node without a size is still being composed, so the
        # alias is inside of its own anchor
        if alias and id(node) not in self._sizes:
            raise yaml.composer.ComposerError(None, None, "an anchor must not hold itself (circular)", mark)
        self._values += self._sizes[id(node)] if alias else 1
        if self._values > MOST_VALUES:
            message = f"more than {MOST_VALUES:,} values (an alias counts as often as it is used)"
            raise yaml.composer.ComposerError(None, None, message, mark)
        self._sizes.setdefault(id(node), self._values - before)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a node's value; refuse types that no study can hold and values unlike their tag."""
        kind = node.tag.removeprefix(_TAG)
        if kind not in _KINDS:
            raise _no_value(
                node, f"it must be text, a number, true, false, null, a list or a mapping, not {kind}"
            )
        if kind == "int" and len(node.value) > _MOST_DIGITS:
            raise _no_value(node, f"a whole number may have at most {_MOST_DIGITS} digits")
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise _no_value(node, f"{kind}: {error}") from error
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            raise _no_value(node, f"it must be what its tag says, {kind}") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping with text keys; refuse duplicate keys."""
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)
        # the text in the file, so that `1` and `"1"` are duplicates; a merge key `<<` may be repeated
        keys = [str(key.value) for key, _ in node.value if key.tag != f"{_TAG}merge"]
        for key, times in Counter(keys).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {shown(key)}", node.start_mark
                )
        self.flatten_mapping(node)
        node.value = [(_key_text(key), value) for key, value in node.value]
        return super().construct_mapping(node, deep)


class _WrittenLoader(_Loader):
    """Reads every value as the text in the file: `1.0`, `True`, `01`, `null`."""

    yaml_implicit_resolvers = {"<": _Loader.yaml_implicit_resolvers["<"]}  # noqa: RUF012


def _key_text(key: yaml.Node) -> yaml.Node:
    """Return a mapping's key as text: YAML would read `01` as 1, `1:30` as 90, and `null` as null."""
    if not isinstance(key, yaml.ScalarNode) or not key.tag.startswith(_TAG):
        return key
    return yaml.ScalarNode(f"{_TAG}str", key.value, key.start_mark, key.end_mark)


def _no_value(node: yaml.Node, rule: str) -> yaml.YAMLError:
    value = shown(node.value) if isinstance(node, yaml.ScalarNode) else f"a {node.id}"
    error: yaml.YAMLError = yaml.constructor.ConstructorError(
        None, None, f"{value} cannot be a value of a study: {rule}", node.start_mark
    )
    return error


class _Dumper(yaml.SafeDumper):
    """Quotes text that `_Loader` would read as a number, and escapes line breaks other than a newline."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        style = '"' if set("\x85\u2028\u2029") & set(text) else None
        return self.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)

_FLOAT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")
_Loader.add_constructor(f"{_TAG}value", yaml.SafeLoader.construct_yaml_str)  # a bare "="
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_Loader.add_implicit_resolver(f"{_TAG}bool", _BOOL, list("tTfF"))
# `<<` as a value, not as a key
_Loader.add_constructor(f"{_TAG}merge", _Loader.construct_yaml_str)
for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, *, written: bool = False) -> Any:
    """Return what a YAML text says, as JSON has it.

    Keys are text as written, and so is what JSON cannot hold; with `written`, so are all values.

    Raises:
        ValueError: not YAML, not a tree, or too large.
    """
    loader = _WrittenLoader if written else _Loader
    try:
        return json.loads(json.dumps(yaml.load(text, Loader=loader), default=str))
    except (yaml.YAMLError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def dump_yaml(content: Mapping[str, Any]) -> str:
    """Return YAML that `parse_yaml` reads back to equal content."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def flow_yaml(value: Any) -> str:
    """Return a value as YAML in one line."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**9
    )
    return text.removesuffix("\n").removesuffix("\n...")


def as_written(value: Any) -> Any:
    """Return a value with text in place of every number, truth value and null."""
    match value:
        case dict():
            return {key: as_written(one) for key, one in value.items()}
        case list():
            return [as_written(one) for one in value]
        case _:
            return str(value)
