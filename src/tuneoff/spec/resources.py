"""What a run needs of a machine, for executors that choose one."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from tuneoff.errors import shown
from tuneoff.spec.base import Spec

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?B)")


def _checked(size: str) -> str:
    if not _SIZE.fullmatch(size):
        raise ValueError(f"must be a size such as 8GB or 500MB, but got {shown(size)}")
    return size


class ResourcesSpec(Spec):
    """What each run gets with `--executor ray`; elsewhere it means nothing."""

    cpus: Annotated[float, Field(gt=0, le=4096)] = 1.0
    """Processor cores: as many threads, and so many cores of a node are taken."""
    gpus: Annotated[float, Field(ge=0, le=64)] | None = None
    """GPUs; a half lets two runs share one. Null: one if the cluster has any."""
    memory: Annotated[str, AfterValidator(_checked)] | None = None
    """Memory that a node must have left, such as 8GB; null: a quarter more than `tuneoff plan` measures of
    the method that takes most."""

    @property
    def memory_bytes(self) -> int | None:
        """Return the memory in bytes."""
        if self.memory is None:
            return None
        parts = _SIZE.fullmatch(self.memory)
        assert parts is not None
        return int(float(parts[1]) * _UNITS[parts[2]])

    def in_words(self) -> str:
        """Return the resources for a message."""
        parts = [f"{self.cpus:g} cpus", f"{self.gpus:g} gpus" if self.gpus else "", self.memory or ""]
        return ", ".join(part for part in parts if part)
