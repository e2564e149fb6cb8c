"""Families of models: all that knows the modules of a model, and nothing else, is here."""

from tuneoff.families.family import (
    Architecture,
    BiasBeforeText,
    ConfigKeys,
    Context,
    Encoder,
    Family,
    FrozenPart,
    Targets,
)
from tuneoff.families.find import RANDOM_MODELS, architecture_of, family_of
from tuneoff.families.listening import without_dropout
from tuneoff.families.sublayers import Sublayer

__all__ = [
    "RANDOM_MODELS",
    "Architecture",
    "BiasBeforeText",
    "ConfigKeys",
    "Context",
    "Encoder",
    "Family",
    "FrozenPart",
    "Sublayer",
    "Targets",
    "architecture_of",
    "family_of",
    "without_dropout",
]
