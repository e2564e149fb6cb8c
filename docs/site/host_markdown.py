"""From Markdown as code hosts show it to Markdown as MkDocs takes it: links between files, and lists."""

import re
from collections.abc import Callable, Iterator

_FENCE = re.compile(r"^\s*(```|~~~)")
_ITEM = re.compile(r"^(\s*)([-*]|\d+\.)\s")
# the target of a link or an image; code in backticks is tried first, so that it is left alone
_LINK = re.compile(r"(?P<code>`[^`\n]*`)|(?P<start>\]\()(?P<target>[^)\s]+)(?P<end>\))")


def outside_of_code(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is outside of fenced code."""
    fenced = False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
            yield line, False
        else:
            yield line, not fenced


def relinked(text: str, new: Callable[[str], str]) -> str:
    """Return a text in which `new` has replaced the target of every link and image."""

    def replaced(match: re.Match[str]) -> str:
        return match["code"] or f"{match['start']}{new(match['target'])}{match['end']}"

    return "\n".join(_LINK.sub(replaced, line) if plain else line for line, plain in outside_of_code(text))


def links(text: str) -> list[str]:
    """Return the targets of all links and images."""
    found: list[str] = []

    def kept(target: str) -> str:
        found.append(target)
        return target

    relinked(text, kept)
    return found


def for_python_markdown(text: str) -> str:
    """Return a text whose lists Python-Markdown reads as code hosts do.

    It wants a blank line before a list and after code in an item, and what belongs to an item indented by
    four spaces, where two are usual.
    """
    lines: list[str] = []
    in_list = False
    for line, plain in outside_of_code(text):
        indented = line.startswith("  ")
        item = plain and _ITEM.match(line)
        if item and lines and lines[-1].strip() and (not in_list or _FENCE.match(lines[-1])):
            lines.append("")
        if item:
            in_list = True
        elif line.strip() and not indented:
            in_list = False
        lines.append(f"  {line}" if in_list and indented else line)
    return "\n".join(lines)
