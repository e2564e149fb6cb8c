import copy
import pickle

import pytest
from tokenizers import Regex, normalizers
from transformers import ByT5Tokenizer

from helpers import small
from tuneoff.spec import ModelSpec, expand, load_study
from tuneoff.tasks import Example
from tuneoff.tasks.examples import RowCounts, TaskData
from tuneoff.training import Session, data, session
from tuneoff.training.backbone import load_backbone


@pytest.fixture
def runs(monkeypatch):
    encoded = []

    def counting(examples, tokenizer, **limits):
        encoded.extend(examples)
        return original(examples, tokenizer, **limits)

    original = session.encode
    monkeypatch.setattr(session, "encode", counting)
    return expand(load_study("quickstart")), encoded


@pytest.mark.slow
def test_each_example_is_tokenized_once_in_a_session(runs):
    specs, encoded = runs
    own = Session()
    small = specs[1].model_copy(update={"train_size": 50})
    backbone = load_backbone(small.model)
    first = data.run_data(small, backbone.tokenizer, own)
    count = len(encoded)
    assert count == sum(len(rows) for rows in first.encoded.values())
    again = data.run_data(small, load_backbone(small.model).tokenizer, own)
    assert len(encoded) == count
    assert again.encoded == first.encoded
    larger = data.run_data(small.model_copy(update={"train_size": 60}), backbone.tokenizer, own)
    assert len(encoded) == count + 10
    assert larger.encoded["train"][:50] == first.encoded["train"]


@pytest.mark.slow
def test_another_limit_is_another_encoding(runs):
    own = Session()
    specs, _ = runs
    spec = specs[1].model_copy(update={"train_size": 50})
    backbone = load_backbone(spec.model)
    short = spec.model_copy(update={"task": spec.task.model_copy(update={"max_source_length": 12})})
    long, cut = (data.run_data(one, backbone.tokenizer, own).encoded["train"] for one in (spec, short))
    assert max(len(row.input_ids) for row in long) > 12
    assert max(len(row.input_ids) for row in cut) == 12


def test_what_another_process_knows_is_neither_read_nor_tokenized_again(runs, monkeypatch):
    own = Session()
    specs, encoded = runs
    small = specs[1].model_copy(update={"train_size": 50})
    backbone = load_backbone(small.model)
    first = data.run_data(small, backbone.tokenizer, own)
    sent = pickle.dumps(own.for_runs([small]))
    encoded.clear()
    monkeypatch.setattr(session, "load_task", None)
    again = data.run_data(small, backbone.tokenizer, pickle.loads(sent))
    assert again == first
    assert encoded == []


def test_an_untrained_run_tokenizes_no_training_rows(runs):
    own = Session()
    specs, encoded = runs
    backbone = load_backbone(specs[0].model)
    assert specs[0].method.kind == "none"
    found = data.run_data(specs[0], backbone.tokenizer, own)
    assert found.encoded["train"] == []
    assert found.report.train.used == 0
    assert len(encoded) == len(found.encoded["validation"]) + len(found.encoded["test"])


@pytest.mark.slow
def test_other_processes_get_the_rows_that_runs_use_and_no_others(runs):
    own = Session()
    specs, _ = runs
    wanted = [specs[0], *(specs[1].model_copy(update={"train_size": 50, "seed": seed}) for seed in (0, 1))]
    backbone = load_backbone(specs[0].model)
    for spec in wanted:
        data.run_data(spec, backbone.tokenizer, own)
    sent = pickle.loads(pickle.dumps(own.for_runs(wanted)))
    assert sent._tasks == {}
    assert sorted(len(drawn.train) for drawn in sent._drawn.values()) == [0, 50, 50]
    used = {row for drawn in sent._drawn.values() for row in (*drawn.train, *drawn.validation, *drawn.test)}
    assert [set(rows) for rows in sent._tokens.values()] == [used]


def test_the_ids_of_a_row_take_four_bytes_each(runs):
    own = Session()
    specs, _ = runs
    spec = specs[1].model_copy(update={"train_size": 50})
    encoded = data.run_data(spec, load_backbone(spec.model).tokenizer, own).encoded["train"]
    assert {ids.itemsize for row in encoded for ids in (row.input_ids, row.labels)} == {4}


def counted(tokenizer, source, target="good"):
    """Tokens and unknown tokens of a split of one row."""
    example = Example(0, source, source, target, None)
    rows = session.encode([example], tokenizer, max_source_length=50, max_target_length=50)
    report = data._report(
        _task_data(example), dict.fromkeys(("train", "validation", "test"), rows), tokenizer
    )
    return report.test.pieces, report.test.unknown_pieces


def _task_data(example):
    counts = RowCounts(read=1, empty=0, duplicates=0, overlap=0, dropped_overlap=0)
    splits = ("train", "validation", "test")
    return TaskData(None, (example,), (example,), (example,), dict.fromkeys(splits, counts), False, None, {})


def test_tokens_that_a_tokenizer_does_not_know_are_counted():
    tokenizer = load_backbone(ModelSpec(id="builtin:random")).tokenizer
    source = "a good day \u0434\u0435\u043d\u044c"
    ids = tokenizer(source)["input_ids"][:-1]
    target = tokenizer("good")["input_ids"][:-1]
    assert ids.count(tokenizer.unk_token_id) > 0
    assert counted(tokenizer, source) == (len(ids) + len(target), ids.count(tokenizer.unk_token_id))
    assert counted(tokenizer, "a good day")[1] == 0


def test_a_tokenizer_of_bytes_knows_everything():
    assert counted(ByT5Tokenizer(), "\u0434\u0435\u043d\u044c") == (12, 0)


def test_a_text_that_a_tokenizer_leaves_nothing_of_is_one_unknown_token():
    tokenizer = copy.deepcopy(load_backbone(ModelSpec(id="builtin:random")).tokenizer)
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex("[^a-z ]"), "")
    assert tokenizer("\u0434\u0435\u043d\u044c")["input_ids"] == [tokenizer.eos_token_id]
    tokens, unknown = counted(tokenizer, "\u0434\u0435\u043d\u044c")
    assert (tokens, unknown) == (1 + len(tokenizer("good")["input_ids"]) - 1, 1)


@pytest.mark.slow
def test_two_sessions_do_not_meet(runs):
    specs, encoded = runs
    backbone = load_backbone(specs[0].model)
    data.run_data(specs[0], backbone.tokenizer, Session())
    count = len(encoded)
    data.run_data(specs[0], backbone.tokenizer, Session())
    assert len(encoded) == 2 * count


def test_a_session_keeps_its_rows_until_it_looks_for_changed_files(tmp_path):
    study, own = small.spec(tmp_path), Session()
    (run, *_) = expand(study)
    before = own.run_rows(run).test
    path = tmp_path / "test.csv"
    path.write_text(path.read_text(encoding="utf-8") + "one more was good,1\n", encoding="utf-8")
    assert own.run_rows(run).test == before
    own.forget_changed_files()
    assert own.run_rows(run).test[:-1] == before
    assert own.run_rows(run).test[-1].text == "one more was good"
    unchanged = own.run_rows(run)
    own.forget_changed_files()
    assert own.run_rows(run) is unchanged
