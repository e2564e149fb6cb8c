"""A share of a study's work, for one of several processes on one output folder."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from tuneoff.errors import InputError, shown

_MOST = 10_000


@dataclass(frozen=True)
class Shard:
    """One of several disjoint shares of a study, which are all of it together."""

    number: int
    """From 1."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that is written as `3/8`.

        Raises:
            InputError: it is none.
        """
        parts = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, count = map(int, parts.groups()) if parts else (0, 0)
        if not 1 <= number <= count <= _MOST:
            raise InputError(f"--shard must be a share such as 3/8, third of eight, but got {shown(text)}")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def takes(self, key: str) -> bool:
        """Return whether the work that this key names is in the share."""
        digest = hashlib.sha256(key.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1
