"""Print how often a decision is shown at the lead for which `tuneoff plan` promises four times of five.

    python benchmarks/calibration_leads.py [--studies 200]

A study has six trained methods and two untrained candidates, simulated as in `calibration_decision.py`. One
method leads all others by just what `lead_shown` returns for the parts of the variance of such studies; then
`decide` itself judges each study. A lead of 0 means that the decision is expected to be shown anyhow.
"""

import argparse
import gc
from collections.abc import Iterator

import numpy as np

from calibration_decision import NAMES, TRAINED, UNTRAINED, Design, Generator, simulate, table
from tuneoff.stats import decide
from tuneoff.stats.power import Components, Plan, components, lead_shown

GENERATORS = (
    Generator("accuracy", 0.75),
    Generator("accuracy, seed sd 0.03", 0.75, seed_sd=0.03),
    Generator("ROUGE-like", 0.25, graded=True),
)
DESIGNS = (Design(3, 200), Design(5, 200), Design(5, 1000), Design(10, 1000))
MARGINS = (0.01, 0.05)
_LARGE = Design(40, 4000)
"""A study from which the parts of the variance are known well."""


def true_components(random: np.random.Generator, generator: Generator) -> Components:
    """Estimate the components of differences between trained methods from a few large studies."""
    found = []
    for studies in simulate(random, generator, _LARGE, 5):
        for trained in studies.trained:
            found += [components(trained[place] - trained[place + 1]) for place in range(TRAINED - 1)]
    return Components(*np.sqrt(np.mean(np.square(found), axis=0)).tolist())


def shown(
    random: np.random.Generator, generator: Generator, design: Design, margin: float, count: int
) -> float:
    """Return the share of studies whose decision is shown."""
    states = [
        decide(studies.labeled(study), untrained=NAMES[TRAINED:], margin=margin).state
        for studies in simulate(random, generator, design, count)
        for study in range(len(studies.truth))
    ]
    return states.count("shown") / len(states)


def cells(random: np.random.Generator, generator: Generator, margin: float, count: int) -> Iterator[str]:
    """Yield the lead that is promised for each design, and the share of studies that are shown with it."""
    parts = true_components(random, generator)
    for design in DESIGNS:
        lead = lead_shown(Plan(design.seeds, design.examples, TRAINED, UNTRAINED), parts, margin=margin)
        assert lead is not None
        # the generator's leader is ahead by next to nothing rather than by 0
        led = generator._replace(behind=max(lead, 1e-6))
        yield f"{lead:.3f}: {shown(random, led, design, margin, count):.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How often a decision is shown at the promised lead.")
    parser.add_argument("--studies", type=int, default=200, help="simulated studies per figure")
    count = parser.parse_args().studies
    random = np.random.default_rng(0)
    gc.freeze()
    rows = [
        [f"{generator.name}, margin {margin}", *cells(random, generator, margin, count)]
        for generator in GENERATORS
        for margin in MARGINS
    ]
    table(["lead that is promised: share shown with it", *map(str, DESIGNS)], rows)


if __name__ == "__main__":
    main()
