"""A small Hugging Face hub on this machine's loopback, for the real client libraries.

It answers the requests that `huggingface_hub`, `datasets` and `transformers` make to read a repository:

    GET  /api/{models|datasets}/ID[/revision/REV]      the repository and its commit
    GET  /api/{models|datasets}/ID/tree/REV[/FOLDER]   its files
    POST /api/{models|datasets}/ID/paths-info/REV      some of its files
    GET  /api/{models|datasets}/ID/refs                its branch
    HEAD, GET [/datasets]/ID/resolve/REV/FILE          a file, whole or a range of it

The clients read `HF_ENDPOINT` when they are imported, so they belong into a subprocess that gets
`LoopbackHub.environment`.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

_API = re.compile(
    r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info|refs)(?:/([^/]+))?(?:/(.*))?)?"
)
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
SECRET = "s3cret"
_DATE = "2026-01-01T00:00:00.000Z"

Commit = Mapping[str, bytes]


@dataclass
class _Repository:
    """All commits of a repository by their hash; the last one is `main`."""

    id: str
    commits: dict[str, Commit] = field(default_factory=dict)
    gated: bool = False

    def push(self, folder: Path) -> str:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        commit = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        digest = hashlib.sha1(repr((len(self.commits), commit)).encode()).hexdigest()
        self.commits[digest] = commit
        return digest

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def resolve(self, revision: str) -> str | None:
        if revision == "main":
            return self.head
        return revision if revision in self.commits else None


class LoopbackHub:
    """A hub that serves folders as model and data set repositories while its context is open."""

    def __init__(
        self,
        *,
        models: Mapping[str, Path] | None = None,
        datasets: Mapping[str, Path] | None = None,
        gated: Collection[str] = (),
    ) -> None:
        self._repositories = {
            (kind, id): _Repository(id, gated=id in gated)
            for kind, folders in (("models", models), ("datasets", datasets))
            for id in folders or {}
        }
        for kind, folders in (("models", models), ("datasets", datasets)):
            for id, folder in (folders or {}).items():
                self._repositories[kind, id].push(folder)
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        self._listen(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _listen(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, self))
        # not daemonic, so that leaving waits for the last answer
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def _end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Nobody listens at its endpoint while this context is open."""
        self._end()
        try:
            yield
        finally:
            self._listen(self._server.server_port)

    @property
    def endpoint(self) -> str:
        """The URL of the hub."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self, home: Path) -> dict[str, str]:
        """The variables with which a subprocess uses this hub, and only `home` for its caches.

        They have a token, and a password in the endpoint, both of which contain `SECRET`.
        """
        kept = {name: value for name, value in os.environ.items() if not _leads_elsewhere(name)}
        return kept | {
            "HF_ENDPOINT": self.endpoint.replace("://", f"://ann:{SECRET}@"),
            "HF_TOKEN": f"hf_{SECRET}",
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
        }

    def push_model(self, id: str, folder: Path) -> str:
        """The commit of a folder's contents as the model's new `main`; older commits stay."""
        return self._repositories["models", id].push(folder)

    def push_dataset(self, id: str, folder: Path) -> str:
        """The commit of a folder's contents as the data set's new `main`; older commits stay."""
        return self._repositories["datasets", id].push(folder)

    def commit(self, id: str) -> str:
        """The hash of the last commit of the model or data set."""
        return next(repository.head for (_, known), repository in self._repositories.items() if known == id)

    def repository(self, kind: str, id: str) -> _Repository | None:
        """The repository of a kind and id."""
        return self._repositories.get((kind, id))


def _leads_elsewhere(name: str) -> bool:
    return name.startswith(("HF_", "HUGGING_FACE", "TRANSFORMERS_")) or name.lower().endswith("_proxy")


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests from the repositories of a hub."""

    protocol_version = "HTTP/1.1"
    # a client may keep its connection open for longer than the hub lives
    timeout = 1

    def __init__(self, hub: LoopbackHub, *connection: Any) -> None:
        self._hub = hub
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._answer(b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        self._hub.requests.append(f"{self.command} {self.path}")
        path = urlsplit(self.path).path
        if match := _API.fullmatch(path):
            kind, id, view, revision, rest = match.groups()
            self._repository(kind, id, revision, view=view, rest=rest, body=body)
        elif match := _FILE.fullmatch(path):
            prefix, id, revision, name = match.groups()
            self._repository("datasets" if prefix else "models", id, revision, view="file", rest=name)
        else:
            self._refuse(404, "EntryNotFound")

    def _repository(
        self, kind: str, id: str, revision: str | None, *, view: str | None, rest: str, body: bytes = b""
    ) -> None:
        repository = self._hub.repository(kind, id)
        if repository is None:
            return self._refuse(401, "RepoNotFound")
        if repository.gated and view == "file":
            return self._refuse(401, "GatedRepo")
        commit = repository.resolve(unquote(revision or "main"))
        if commit is None:
            return self._refuse(404, "RevisionNotFound")
        return self._view(repository, commit, view=view, rest=unquote(rest or ""), body=body)

    def _view(
        self, repository: _Repository, commit: str, *, view: str | None, rest: str, body: bytes
    ) -> None:
        files = repository.commits[commit]
        match view:
            case "file" if rest in files:
                self._send_file(commit, files[rest])
            case "file":
                self._refuse(404, "EntryNotFound", {"X-Repo-Commit": commit})
            case "tree" if rest and not any(name.startswith(f"{rest}/") for name in files):
                self._refuse(404, "EntryNotFound")
            case "tree":
                recursive = parse_qs(urlsplit(self.path).query).get("recursive") in (["true"], ["True"])
                self._send_json(_tree(files, rest, recursive=recursive))
            case "paths-info":
                wanted = parse_qs(body.decode()).get("paths", [])
                self._send_json([entry for entry in _entries(files) if entry["path"] in wanted])
            case "refs":
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head}
                self._send_json({"branches": [main], "tags": [], "converts": []})
            case _:
                self._send_json(_info(repository, commit))

    def _send_file(self, commit: str, content: bytes) -> None:
        headers = {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self._send(200, content, headers)
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return self._send(206, content[first : last + 1], headers)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code} | dict(headers or {}))

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _info(repository: _Repository, commit: str) -> dict[str, object]:
    return {
        "id": repository.id,
        "sha": commit,
        "private": False,
        "gated": "auto" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "lastModified": _DATE,
        "createdAt": _DATE,
        "siblings": [{"rfilename": name} for name in repository.commits[commit]],
    }


def _entries(files: Commit) -> list[dict[str, object]]:
    """Files and folders as the tree and paths-info endpoints tell them."""
    folders = {parent.as_posix() for name in files for parent in Path(name).parents} - {"."}
    return [
        *(
            {"type": "directory", "path": name, "oid": _digest(name.encode()), "size": 0}
            for name in sorted(folders)
        ),
        *(
            {"type": "file", "path": name, "oid": _digest(content), "size": len(content)}
            for name, content in files.items()
        ),
    ]


def _tree(files: Commit, folder: str, *, recursive: bool) -> list[dict[str, object]]:
    inside = f"{folder}/" if folder else ""
    entries = [entry for entry in _entries(files) if str(entry["path"]).startswith(inside)]
    return [entry for entry in entries if recursive or "/" not in str(entry["path"])[len(inside) :]]


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
