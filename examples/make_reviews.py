"""Write reviews.csv: 1,200 reviews of tuneoff's own generator, as a file of one's own may look."""

import csv
from pathlib import Path

from tuneoff.tasks.builtin import builtin_tables

ROWS = 1200


def main(path: Path) -> None:
    """Write the file."""
    reviews = builtin_tables("reviews")["train"].records[:ROWS]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "review", "sentiment"])
        writer.writerows(
            [number, one.cells["text"], one.cells["label"]] for number, one in enumerate(reviews, start=1)
        )


if __name__ == "__main__":
    main(Path(__file__).with_name("reviews.csv"))
