"""Options of rows, scored together, against one option at a time and lm-evaluation-harness's formulas."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.models import tiny, word_tokenizer
from helpers.task_specs import files, multiple_choice
from tuneoff.errors import DataError
from tuneoff.methods import attach
from tuneoff.results.predictions import write_predictions
from tuneoff.spec import LETTERS, NoneSpec, PrefixSpec, expand, load_study
from tuneoff.stats.answers import read_answers
from tuneoff.tasks import Example
from tuneoff.training import Decoder, encode, likelihood
from tuneoff.training.data import run_data
from tuneoff.training.decode import check_options
from tuneoff.training.prepared import prepare
from tuneoff.training.scores import predictions_of, scores_of
from tuneoff.training.session import Session

OPTIONS = [
    ("w5", "w6 w7 w8"),
    ("w9 w5 w5 w6", "w5 w6", "w7", "w8 w8"),
    ("w30 w31 w32 w33 w34", "w35"),
    ("w5 w6 w7", "w5 w6 w8", "w5 w6 w9"),
    ("w40", "w41", "w42 w43"),
]
RIGHT = "BDACA"
SOURCES = ["w10 w11", "w12", "w13 w14 w15 w16", "w17 w18 w19", "w20 w21 w22 w23 w24 w25"]
EXAMPLES = [
    Example(row, source, source, options[LETTERS.index(right)], right, options)
    for row, (source, options, right) in enumerate(zip(SOURCES, OPTIONS, RIGHT, strict=True))
]
METHODS = {"none": NoneSpec(kind="none"), "prefix": PrefixSpec(kind="prefix", length=3)}
FAMILIES = ["t5", "bart", "llama", "gpt2"]


def decoder(family, method="none", *, batch_size=3, **task):
    generator = torch.Generator().manual_seed(0)
    model = tiny("flan" if family == "t5" else family)
    adapted = attach(model, METHODS[method], generator=generator, tokenizer=None)
    tokenizer = word_tokenizer(ends_input=adapted.family.encoder is not None)
    return Decoder(adapted, tokenizer, multiple_choice(**task), batch_size, "float32")


def encoded(read, examples=EXAMPLES):
    return encode(examples, read.tokenizer, max_source_length=20, max_target_length=10)


def log_likelihood(read, source, text):
    """Compute the log-likelihood of each token of a text after a source, a forward pass for each token."""
    found, given = [], [] if read.adapted.family.encoder is None else starts(read.adapted.model)
    for token in text:
        with torch.no_grad():
            if read.adapted.family.encoder is None:
                logits = read.adapted.model(input_ids=torch.tensor([[*source, *given]])).logits
            else:
                logits = read.adapted.model(
                    input_ids=torch.tensor([[*source]]), decoder_input_ids=torch.tensor([given])
                ).logits
        found.append(logits[0, -1].double().log_softmax(0)[token].item())
        given.append(token)
    return found


def starts(model):
    return [model.config.decoder_start_token_id]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["t5", "llama"])
def test_options_are_scored_as_each_of_them_alone_without_its_end(family, method):
    read = decoder(family, method)
    rows = encoded(read)
    for example, row, answer in zip(EXAMPLES, rows, read.answers(rows), strict=True):
        tokens = [log_likelihood(read, row.input_ids, [*ids]) for ids in row.options]
        expected = {letter: sum(one[:-1]) for letter, one in zip(LETTERS, tokens, strict=False)}
        assert answer.log_likelihoods == pytest.approx(expected, rel=1e-4)
        assert answer.prediction == max(expected, key=expected.get)
        right = LETTERS.index(example.label)
        assert answer.loss == pytest.approx(-sum(tokens[right]), rel=1e-4)
        assert [*row.options[right]] == [*row.labels]


@pytest.mark.parametrize("normalized", [False, True])
def test_the_choice_is_that_of_the_evaluation_harness(normalized):
    # its rules: text after the context and a space; the sum over its tokens (`acc`), by its characters
    # (`acc_norm`)
    read = decoder("llama", length_normalized=normalized)
    for example, answer in zip(EXAMPLES, read.answers(encoded(read)), strict=True):
        sums = []
        for option in example.options:
            context = read.tokenizer(example.source)["input_ids"]
            whole = read.tokenizer(f"{example.source} {option}")["input_ids"]
            with torch.no_grad():
                logits = read.adapted.model(input_ids=torch.tensor([whole[:-1]])).logits[0]
            steps = logits.double().log_softmax(-1)[len(context) - 1 :]
            sums.append(steps.gather(1, torch.tensor(whole[len(context) :])[:, None]).sum().item())
        values = [
            one / len(option) if normalized else one
            for one, option in zip(sums, example.options, strict=True)
        ]
        assert answer.prediction == LETTERS[values.index(max(values))]
        assert [*answer.log_likelihoods.values()] == pytest.approx(sums, rel=1e-4)


def test_long_options_are_not_at_a_disadvantage_where_lengths_are_normalized():
    plain, normalized = (
        [answer.prediction for answer in read.answers(encoded(read))]
        for read in (decoder("llama", length_normalized=one) for one in (False, True))
    )
    chosen = [
        sum(len(example.options[LETTERS.index(one)]) for example, one in zip(EXAMPLES, answers, strict=True))
        for answers in (plain, normalized)
    ]
    assert chosen[1] > chosen[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_depend_on_no_other_row_and_on_no_limit_of_memory(family, monkeypatch):
    read = decoder(family)
    together = read.answers(encoded(read))
    monkeypatch.setattr(likelihood, "MOST_BYTES", 1)
    alone = replace(read, batch_size=1).answers(encoded(read))
    for one, other in zip(together, alone, strict=True):
        assert one.log_likelihoods == pytest.approx(other.log_likelihoods, rel=1e-4)
        assert one.loss == pytest.approx(other.loss, rel=1e-4)


def test_logits_of_a_long_option_are_computed_in_parts(monkeypatch):
    read = decoder("llama", batch_size=5)
    whole = read.answers(encoded(read))
    one_token = read.adapted.family.logits(torch.zeros(1, 32)).nbytes
    most, taken, logits = 2 * 3 * one_token, [], type(read.adapted.family).logits

    def noted(family, hidden):
        taken.append(len(hidden))
        return logits(family, hidden)

    monkeypatch.setattr(type(read.adapted.family), "logits", noted)
    monkeypatch.setattr(likelihood, "MOST_BYTES", most)
    for one, other in zip(read.answers(encoded(read)), whole, strict=True):
        assert one.log_likelihoods == pytest.approx(other.log_likelihoods, rel=1e-4)
    assert taken[0] == 5  # the first token of all options of a row, from one distribution
    assert max(taken[1:]) == 3


def test_predictions_have_a_likelihood_for_each_option_of_their_row(tmp_path: Path):
    read = decoder("llama")
    rows = encoded(read)
    answers = read.answers(rows)
    task = multiple_choice()
    predictions = predictions_of(task, EXAMPLES, rows, answers)
    write_predictions(tmp_path / "predictions.parquet", predictions)
    table = read_answers(tmp_path / "predictions.parquet", "eval_accuracy")
    assert [*table.references] == [*RIGHT]
    assert [*table.predictions] == [answer.prediction for answer in answers]
    accuracy = scores_of(task, EXAMPLES, rows, answers)["eval_accuracy"]
    assert table.scores("eval_accuracy").mean() == pytest.approx(accuracy)
    assert {len(one.log_likelihoods) for one in predictions} == {2, 3, 4}


@pytest.mark.parametrize("longest", [2, 3])
def test_an_option_that_does_not_fit_is_refused(longest):
    read = decoder("llama")
    task = multiple_choice(max_target_length=longest)
    with pytest.raises(DataError, match=r"1 to \d tokens besides its end, but 'w6 w7 w8' \(row 0\) has 3"):
        check_options(task, EXAMPLES, encoded(read))


def test_an_option_without_tokens_is_refused():
    read = decoder("llama")
    examples = [Example(4, "w5", "w5", "w6", "A", ("w6", "\u200b \u200b"))]
    rows = encoded(read, examples)
    shortened = [replace(row, options=(row.options[0], row.options[1][-1:])) for row in rows]
    with pytest.raises(DataError, match=r"\(row 4\) has 0"):
        check_options(multiple_choice(), examples, shortened)


def test_a_run_trains_on_the_text_of_the_right_option(tmp_path: Path):
    rows = [{"q": "which", "choices": ["one thing", "another"], "label": number % 2} for number in range(6)]
    task = multiple_choice(files(tmp_path, train=rows, validation=rows, test=rows))
    study = load_study(
        {
            "name": "options",
            "model": {"id": "builtin:random"},
            "tasks": {"choice": task.model_dump(mode="json")},
            "methods": {"full": {"kind": "full"}},
            "training": {"max_steps": 1, "eval_steps": 1},
        }
    )
    (run,) = expand(study)
    prepared = prepare(run, Session())
    texts = [
        prepared.backbone.tokenizer.decode([*row.labels], skip_special_tokens=True)
        for row in run_data(run, prepared.backbone.tokenizer, Session()).encoded["train"]
    ]
    assert [text.strip() for text in texts] == ["one thing", "another"] * 3
