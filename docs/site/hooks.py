"""Hooks of MkDocs: pages from outside of docs/, links that also work on a code host, and generated parts."""

import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from host_markdown import for_python_markdown, links, relinked
from keys import keys_page

ROOT = Path(__file__).parents[2]
OUTSIDE = {
    "index.md": "README.md",
    "examples.md": "examples/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "pretraining.md": "pretraining/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
"""From pages of the site to the files that they are."""
_GENERATED = re.compile(r"<!-- generated: (\w+) -->.*?<!-- end -->", re.DOTALL)
_OF_ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?https?:[^>]*>"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon|dns-prefetch))[^>]*\bhref=[\"']?https?:[^>]*>"
)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are elsewhere in the repository, and the files that any page refers to."""
    for uri, path in OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    for page in [file for file in files if file.is_documentation_page()]:
        for target in links(page.content_string):
            path = _repository_path(target, page.src_uri)
            if path and (ROOT / path).is_file() and not files.get_file_from_path(_uri(path)):
                files.append(File.generated(config, _uri(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is generated, and write links and lists as MkDocs has them."""
    here = page.file.src_uri

    def in_site(target: str) -> str:
        path, anchor = _repository_path(target, here), target.partition("#")[2]
        if path is None:
            return target
        return posixpath.relpath(_uri(path), posixpath.dirname(here) or ".") + (
            f"#{anchor}" if anchor else ""
        )

    return for_python_markdown(relinked(_GENERATED.sub(_generated, markdown), in_site))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that a browser would fetch parts of from elsewhere."""
    if found := _OF_ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri} would fetch from elsewhere: {found[0]}")
    return output


def _repository_path(target: str, page: str) -> str | None:
    """Return the file of the repository that a link in a page leads to; None if it leads elsewhere."""
    path = target.partition("#")[0]
    if not path or re.match(r"[a-z]+:", path):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(OUTSIDE.get(page, f"docs/{page}")), path))


def _uri(path: str) -> str:
    """Return where the site has a file of the repository."""
    pages = {file: uri for uri, file in OUTSIDE.items()}
    return pages.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}")


def _generated(match: re.Match[str]) -> str:
    return {"keys": keys_page, "commands": _commands}[match[1]]()


def _commands() -> str:
    """Return all commands with their options, as Typer describes them."""
    command = [sys.executable, "-m", "typer", "tuneoff.cli", "utils", "docs", "--name", "tuneoff"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, _, commands = text.partition("\n## ")
    # a text outside of backticks is no HTML
    return re.sub(r"(`[^`]*`)|<", lambda match: match[1] or "&lt;", f"## {commands}")
