"""The nodes of a Ray cluster: joined, or started on this machine, and asked whether they are equals.

Before the first job a task on each node says which packages and precision it has, and whether it sees the
output folder: a study is done by equals, or not begun.
"""

import os
import platform
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from accelerate import PartialState
from ray._private import ray_constants
from ray.exceptions import GetTimeoutError, RayError, RayTaskError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuneoff.errors import InputError, first_line, writing
from tuneoff.interrupts import interrupts_blocked
from tuneoff.spec import ResourcesSpec
from tuneoff.training.precision import resolve_dtype

_LONGEST_CONNECT = 10.0
"""Seconds to reach the head of a cluster."""
_LONGEST_ANSWER = 300.0
"""Seconds that a node may take to import torch and answer."""
_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""Of what a task takes, as nodes name it."""


def join(address: str | None) -> None:
    """Join the cluster at `address` or `RAY_ADDRESS`; without either, start one on this machine.

    Raises:
        InputError: there is none, or one of this machine's own would be heard by others.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # one of our own tells nobody of its use
    where = {"address": address} if address else {"address": "local", "_node_ip_address": "127.0.0.1"}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        # Ctrl-C is the driver's; Ray's processes must not hear of it
        with interrupts_blocked(), nullcontext() if address else _heard_here_alone():
            ray.init(**where, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster can be used {f'at {address}' if address else 'on this machine'}: "
            f"{first_line(error)}"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray sets its own, which ends the process at once
    heard_at = [node["NodeManagerAddress"] for node in nodes()]
    if not address and not all(ip_address(one).is_loopback for one in heard_at):
        ray.shutdown()
        raise InputError(
            f"a Ray cluster of one's own must be heard by this machine alone, but Ray has put it at "
            f"{', '.join(heard_at)}; start one that is as closed as you need it, and give --address"
        )


@contextmanager
def _heard_here_alone() -> Iterator[None]:
    """Let the processes of a cluster that Ray starts in this context listen at the loopback address alone.

    Ray takes 127.0.0.1 for the machine's address in its network, and listens at all of its addresses, unless
    clusters of several machines are off. It reads that from the environment when it is imported.
    """
    variable, enabled = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    before = os.environ.get(variable)
    os.environ[variable] = "0"  # for the processes that it starts
    ray_constants.ENABLE_RAY_CLUSTER = False  # for this one, which has imported it
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
        ray_constants.ENABLE_RAY_CLUSTER = enabled


def _check_answers(address: str) -> None:
    """Check that somebody listens at an address such as node:6379: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return  # `auto`, or of a kind that Ray reads itself
    try:
        socket.create_connection((host, int(port)), timeout=_LONGEST_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster can be used at {address}: {first_line(error)}") from error


def amounts_of(resources: ResourcesSpec) -> dict[str, float]:
    """Return what a task takes, as Ray names it; where GPUs are left open, one if the cluster has any."""
    gpus = resources.gpus
    if gpus is None:
        gpus = min(1.0, most("num_gpus"))
    found = {"num_cpus": resources.cpus, "num_gpus": gpus}
    return found if resources.memory_bytes is None else found | {"memory": resources.memory_bytes}


def nodes() -> list[dict[str, Any]]:
    """Return what Ray knows of each node that is alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def fitting(amounts: dict[str, float]) -> list[dict[str, Any]]:
    """Return the nodes that have as much as a task takes."""
    return [
        node
        for node in nodes()
        if all(node["Resources"].get(_NAMES[name], 0.0) >= amount for name, amount in amounts.items())
    ]


def check_fitting(amounts: dict[str, float], words: str) -> None:
    """Check that a node has as much as a task takes.

    Raises:
        InputError: none has.
    """
    if not fitting(amounts):
        raise InputError(f"no node of the Ray cluster has {words}; ask for less, or start a node that has it")


def most(name: str) -> float:
    """Return how much the largest node has of what a task takes."""
    return max(node["Resources"].get(_NAMES[name], 0.0) for node in nodes())


def check_nodes(amounts: dict[str, float], folder: Path) -> None:
    """Check that all nodes with room for a task have what this machine has.

    Raises:
        InputError: a node has other packages or another precision, or does not see the output folder; or all
            have left the cluster.
    """
    token = folder / f".seen-by-all-{uuid4().hex}"
    with writing(token):
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
    try:
        asked = {
            f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})": _answer.options(
                name="tuneoff: check of the node",
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                **amounts,
            ).remote(str(token.absolute()))
            for node in fitting(amounts)
        }
        answers = {name: _answered(name, reference) for name, reference in asked.items()}
    finally:
        token.unlink(missing_ok=True)
    check_equal({name: one for name, one in answers.items() if one is not None}, _packages(), folder)


@dataclass(frozen=True)
class NodeAnswer:
    """What a node says of itself."""

    has: dict[str, str]
    """Packages, device and precision, each of which must be that of all others."""
    sees_folder: bool


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _answer(token: str) -> NodeAnswer:
    device = PartialState().device
    has = _packages()
    has |= {"device": device.type, "precision (training.dtype: auto)": resolve_dtype("auto", device)}
    return NodeAnswer(has, Path(token).exists())


def _packages() -> dict[str, str]:
    packages = {package: version(package) for package in ("tuneoff", "torch", "transformers")}
    return {"Python": platform.python_version(), **packages}


def _answered(name: str, reference: Any) -> NodeAnswer | None:
    """Return what a node says of itself; None if it has left the cluster since it was asked."""
    try:
        answer: NodeAnswer = ray.get(reference, timeout=_LONGEST_ANSWER)
    except GetTimeoutError:
        raise InputError(
            f"node {name} of the Ray cluster has not answered in {_LONGEST_ANSWER:.0f} s; see that it is idle"
        ) from None
    except TaskUnschedulableError:
        return None
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        raise InputError(
            f"node {name} of the Ray cluster cannot do runs: {first_line(cause)}; every node needs the same "
            "tuneoff[train,ray]"
        ) from error
    return answer


def check_equal(answers: dict[str, NodeAnswer], packages: dict[str, str], folder: Path) -> None:
    """Check that nodes, by name, are equal, have the packages of this machine, and see the output folder.

    Raises:
        InputError: they do not.
    """
    for name, answer in answers.items():
        if not answer.sees_folder:
            raise InputError(
                f"all nodes must share the output folder, but node {name} has no {folder.absolute()}; give "
                "an --out that all of them see"
            )
    if not answers:
        raise InputError("every node of the Ray cluster with room for a run has left it; start one")
    first, reference = next(iter(answers.items()))
    for name, answer in answers.items():
        for what, value in answer.has.items():
            wanted, where = (
                (packages[what], "here") if what in packages else (reference.has[what], f"on node {first}")
            )
            if value != wanted:
                raise InputError(
                    f"all nodes must be equal, or the runs are not, but {what} is {value} on node {name} and "
                    f"{wanted} {where}; make them equal, or leave one out"
                )
