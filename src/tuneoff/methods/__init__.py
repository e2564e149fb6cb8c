"""Ways of tuning a model, each of which can be attached to a model and detached again."""

from tuneoff.methods.adapter import AdaptedModel, Adapter
from tuneoff.methods.attach import attach
from tuneoff.methods.checkpoint import load, save
from tuneoff.methods.footprint import footprint, with_stored
from tuneoff.methods.prune import Pruned, prune

__all__ = ["AdaptedModel", "Adapter", "Pruned", "attach", "footprint", "load", "prune", "save", "with_stored"]
