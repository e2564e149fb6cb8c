"""Training and testing of one run."""

from tuneoff.training.backbone import Backbone, load_backbone
from tuneoff.training.batches import Encoded, collate, encode
from tuneoff.training.decode import Answer, Decoder
from tuneoff.training.loop import FitResult, fit, total_steps, windows
from tuneoff.training.prepared import Prepared, prepare
from tuneoff.training.run import run_member, run_trial, train_run
from tuneoff.training.seeding import generator, stream_seed, stream_seeds
from tuneoff.training.session import Session
from tuneoff.training.tokenizer import input_ids, target_ids
from tuneoff.training.tuned import OnProgress, RowPrediction, TunedModel, load_tuned

__all__ = [
    "Answer",
    "Backbone",
    "Decoder",
    "Encoded",
    "FitResult",
    "OnProgress",
    "Prepared",
    "RowPrediction",
    "Session",
    "TunedModel",
    "collate",
    "encode",
    "fit",
    "generator",
    "input_ids",
    "load_backbone",
    "load_tuned",
    "prepare",
    "run_member",
    "run_trial",
    "stream_seed",
    "stream_seeds",
    "target_ids",
    "total_steps",
    "train_run",
    "windows",
]
