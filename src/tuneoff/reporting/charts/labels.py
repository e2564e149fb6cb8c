"""Place text near points in a plot so that nothing is drawn over anything else."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

CHARACTER, LINE = 5.8, 14.0
"""Width of a character and height of a line, in pixels."""
_RADII = (11.0, 20.0, 32.0, 46.0, 62.0, 80.0, 100.0, 125.0, 150.0)
_ANGLES = tuple(range(0, 360, 30))


class Box(NamedTuple):
    """A rectangle in pixels, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Return the area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


class Label(NamedTuple):
    """A place for a text: its box, the end of the line to its point, and whether it needs that line."""

    box: Box
    end: tuple[float, float]
    far: bool

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the text."""
        return (self.box.left + self.box.right) / 2, (self.box.top + self.box.bottom) / 2


def place_labels(
    points: Sequence[tuple[float, float]], texts: Sequence[str], *, obstacles: Iterable[Box], frame: Box
) -> list[Label]:
    """Return a place for each point's text, as near as there is room inside the frame.

    Where no place is free, it is the one that covers least.
    """
    taken = [*obstacles, *(Box(x - 7, y - 7, x + 7, y + 7) for x, y in points)]
    labels: dict[int, Label] = {}
    for i in sorted(range(len(points)), key=lambda i: -len(texts[i])):  # long ones are hardest to place
        lowest = math.inf
        for place in _places(*points[i], CHARACTER * len(texts[i]) / 2):
            cost = _cost(place, points[i], taken, frame)
            if cost < lowest:
                lowest, labels[i] = cost, place
            if not cost:
                break
        taken += [labels[i].box, *_leader(labels[i], points[i])]
    return [labels[i] for i in range(len(points))]


def _places(x: float, y: float, half: float) -> Iterator[Label]:
    """Yield places around a point, nearest first, for a text of half that width."""
    for radius in _RADII:
        for angle in _ANGLES:
            across, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            end = x + across * radius, y + down * radius
            middle = end[0] + (math.copysign(half, across) if abs(across) > 0.1 else 0.0)
            top = end[1] + down * LINE / 4 - LINE / 2
            yield Label(Box(middle - half, top, middle + half, top + LINE), end, radius > _RADII[1])


def _leader(label: Label, point: tuple[float, float]) -> list[Box]:
    """Return the line from a label to its point as small boxes; none for a label beside its point."""
    if not label.far:
        return []
    boxes = []
    for step in range(4, 16):  # the first quarter is inside the point
        x = point[0] + step / 16 * (label.end[0] - point[0])
        y = point[1] + step / 16 * (label.end[1] - point[1])
        boxes.append(Box(x - 2, y - 2, x + 2, y + 2))
    return boxes


def _cost(label: Label, point: tuple[float, float], taken: Iterable[Box], frame: Box) -> float:
    """Return the area that a label covers, weighted: 30 for its line, 10 outside of the frame, 1 for text."""
    taken = tuple(taken)
    covered = sum(label.box.overlap(other) for other in taken)
    crossed = sum(spot.overlap(other) for spot in _leader(label, point) for other in taken)
    size = (label.box.right - label.box.left) * (label.box.bottom - label.box.top)
    return covered + 30 * crossed + 10 * (size - label.box.overlap(frame))
