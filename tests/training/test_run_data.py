import pickle

import pytest

from tuneoff.spec import expand, load_study
from tuneoff.training import data
from tuneoff.training.backbone import load_backbone


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.setattr(data, "KNOWN", data.Known({}, {}))
    encoded = []

    def counting(examples, tokenizer, **limits):
        encoded.extend(examples)
        return original(examples, tokenizer, **limits)

    original = data.encode
    monkeypatch.setattr(data, "encode", counting)
    return expand(load_study("quickstart")), encoded


def test_each_example_is_tokenised_once_in_a_process(runs):
    specs, encoded = runs
    small = specs[1].model_copy(update={"train_size": 50})
    backbone = load_backbone(small.model)
    first = data.run_data(small, backbone.tokenizer)
    count = len(encoded)
    assert count == sum(len(rows) for rows in first.encoded.values())
    again = data.run_data(small, load_backbone(small.model).tokenizer)
    assert len(encoded) == count
    assert again.encoded == first.encoded
    larger = data.run_data(small.model_copy(update={"train_size": 60}), backbone.tokenizer)
    assert len(encoded) == count + 10
    assert larger.encoded["train"][:50] == first.encoded["train"]


def test_another_limit_is_another_encoding(runs):
    specs, _ = runs
    spec = specs[1].model_copy(update={"train_size": 50})
    backbone = load_backbone(spec.model)
    short = spec.model_copy(update={"task": spec.task.model_copy(update={"max_source_length": 12})})
    assert max(len(row.input_ids) for row in data.run_data(spec, backbone.tokenizer).encoded["train"]) > 12
    assert max(len(row.input_ids) for row in data.run_data(short, backbone.tokenizer).encoded["train"]) == 12


def test_what_another_process_knows_is_neither_read_nor_tokenised_again(runs, monkeypatch):
    specs, encoded = runs
    small = specs[1].model_copy(update={"train_size": 50})
    backbone = load_backbone(small.model)
    first = data.run_data(small, backbone.tokenizer)
    told = pickle.dumps(data.KNOWN)
    encoded.clear()
    monkeypatch.setattr(data, "KNOWN", data.Known({}, {}))
    monkeypatch.setattr(data, "load_task", None)
    data.know(pickle.loads(told))
    again = data.run_data(small, backbone.tokenizer)
    assert again == first
    assert encoded == []
