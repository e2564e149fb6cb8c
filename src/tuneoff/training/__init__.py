"""Training and testing of one run."""

from tuneoff.training.backbone import Backbone, load_backbone
from tuneoff.training.batches import Encoded, collate, encode
from tuneoff.training.data import train_count
from tuneoff.training.decode import Answer, Decoder
from tuneoff.training.loop import FitResult, fit, total_steps, windows
from tuneoff.training.run import Prepared, prepare, train_run, try_run
from tuneoff.training.seeding import generator, stream_seed, stream_seeds

__all__ = [
    "Answer",
    "Backbone",
    "Decoder",
    "Encoded",
    "FitResult",
    "Prepared",
    "collate",
    "encode",
    "fit",
    "generator",
    "load_backbone",
    "prepare",
    "stream_seed",
    "stream_seeds",
    "total_steps",
    "train_count",
    "train_run",
    "try_run",
    "windows",
]
