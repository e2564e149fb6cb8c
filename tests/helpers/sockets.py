"""Sockets of the network: where this process and those below it listen, and what a study asks the network."""

import os
import sys
from contextlib import suppress
from typing import Any

import psutil

ASKS = ("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
"""What Python tells of sockets that are to be used."""


def listening(*processes: psutil.Process) -> set[tuple[str, int]]:
    """The addresses at which processes, by default this one and all below it, wait for others."""
    if not processes:
        own = psutil.Process()
        processes = (own, *own.children(recursive=True))
    found = set[tuple[str, int]]()
    for process in processes:
        with suppress(psutil.Error):  # ended by now
            waiting = (one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
            found |= {(one.laddr.ip, one.laddr.port) for one in waiting}
    return found


def asked_by_study(study: str, out: str) -> list[str]:
    """What a study asks of the network, hubs allowed; to be called in a process of its own."""
    import huggingface_hub

    import tuneoff

    asked: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ASKS:
            asked.append(f"{event}: {arguments}")

    os.environ.pop("HF_HUB_OFFLINE", None)
    huggingface_hub.constants.HF_HUB_OFFLINE = False
    assert not huggingface_hub.is_offline_mode()
    sys.addaudithook(note)
    tuneoff.run(study, out=out)
    return asked
