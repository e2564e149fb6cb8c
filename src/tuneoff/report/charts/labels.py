"""Places for text near points in a plot, found so that nothing is drawn over anything else."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

CHARACTER, LINE = 6.3, 14.0
_RADII = (11.0, 20.0, 32.0, 46.0, 62.0, 80.0, 100.0)
_ANGLES = tuple(range(0, 360, 30))


class Box(NamedTuple):
    """A rectangle in pixels, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """The area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


class Label(NamedTuple):
    """Where a text goes: the middle of its box, and whether it needs a line to its point."""

    x: float
    y: float
    far: bool


def place_labels(
    points: Sequence[tuple[float, float]], texts: Sequence[str], *, obstacles: Iterable[Box], frame: Box
) -> list[Label]:
    """A place for each point's text, as near as there is room inside the frame.

    Where there is no free place, it is the one that covers least.
    """
    taken = [*obstacles, *(Box(x - 7, y - 7, x + 7, y + 7) for x, y in points)]
    labels = []
    for (x, y), text in zip(points, texts, strict=True):
        half = CHARACTER * len(text) / 2
        best, box = min(
            (_cost(box, taken, frame) + radius * 1e-3, (label, box))
            for radius, label, box in _candidates(x, y, half)
        )[1]
        labels.append(best)
        taken.append(box)
    return labels


def _candidates(x: float, y: float, half: float) -> Iterator[tuple[float, Label, Box]]:
    for radius in _RADII:
        for angle in _ANGLES:
            across, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            middle_x = x + across * (radius + half) if abs(across) > 0.1 else x
            middle_y = y + down * (radius + LINE / 4)
            box = Box(middle_x - half, middle_y - LINE / 2, middle_x + half, middle_y + LINE / 2)
            yield radius, Label(middle_x, middle_y, radius > _RADII[1]), box


def _cost(box: Box, taken: Iterable[Box], frame: Box) -> float:
    size = (box.right - box.left) * (box.bottom - box.top)
    outside = size - box.overlap(frame)
    return sum(box.overlap(other) for other in taken) + 10 * outside
