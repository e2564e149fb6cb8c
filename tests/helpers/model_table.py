"""The table of families and methods in docs/models.md: `PYTHONPATH=src:tests python -m helpers.model_table`.

Each cell is tried on a tiny random model: the method is attached, and what it trains receives gradient.
"""

from pathlib import Path

import torch

from helpers.models import DECODER_ONLY, batch, tiny
from tuneoff.errors import ModelError, StudyError, UnfitError
from tuneoff.families import architecture_of, family_of
from tuneoff.families.other import MODELS
from tuneoff.methods import attach, footprint
from tuneoff.spec import FullSpec, LoraSpec, Method, PrefixSpec, PromptSpec

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
KINDS = ("t5", "mt5", "umt5", "bart", "mbart", "pegasus", "marian", "m2m", *DECODER_ONLY, *MODELS)
METHODS = ("full", "lora", "prompt", "prefix")


def table() -> str:
    """Return the table in Markdown."""
    head = ["models", "model_type", *METHODS]
    rows = [head, ["---"] * len(head), *(_row(kind) for kind in KINDS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(kind: str) -> list[str]:
    family = family_of(tiny(kind))
    architecture = architecture_of(family.model.config.model_type)
    names = [architecture.members, f"`{architecture.model_type}`"]
    try:
        family.check(Path(kind))
    except ModelError:
        return [*names, *["refused"] * len(METHODS)]
    methods: list[Method] = [
        FullSpec(kind="full"),
        LoraSpec(kind="lora", rank=2, targets=family.lora_targets),
        PromptSpec(kind="prompt", length=2, init="random"),
    ]
    return [*names, *(_tried(kind, method) for method in methods), _prefix_sites(kind)]


def _prefix_sites(kind: str) -> str:
    every = family_of(tiny(kind)).sites
    methods = {site: PrefixSpec(kind="prefix", length=2, sites=(site,)) for site in every}
    found = [site for site, method in methods.items() if _tried(kind, method) == "yes"]
    return "yes" if len(found) == len(every) else ", ".join(found) or "no"


def _tried(kind: str, method: Method) -> str:
    """Return whether a method can be attached and what it trains receives gradient: yes, part or no."""
    try:
        adapted = attach(tiny(kind), method, generator=torch.Generator(), tokenizer=None)
    except (StudyError, UnfitError):
        return "no"
    counts = footprint(adapted, batch(prompt_ids=adapted.prompt_ids))
    assert counts.receiving_gradient > 0
    return "yes" if counts.trainable == counts.receiving_gradient else "part"


def main() -> None:
    """Write the table into its place."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
