from dataclasses import replace

import pyarrow.parquet
import pytest
import torch

from helpers.models import END, batch, tiny_t5, word_tokenizer
from helpers.swallowing import ctrl_c_that_is_swallowed
from tuneoff.errors import DataError
from tuneoff.families.encoder_context import EncoderContext
from tuneoff.interrupts import interrupts_remembered
from tuneoff.methods import attach
from tuneoff.results.predictions import write_predictions
from tuneoff.spec import ClassificationSpec, NoneSpec, PrefixSpec, PromptSpec, StackSpec, SummarizationSpec
from tuneoff.tasks import Example
from tuneoff.training import Decoder, encode, likelihood
from tuneoff.training.decode import Answer, check_labels
from tuneoff.training.scores import predictions_of, scores_of

TOKENIZER = word_tokenizer(ends_input=True)
SOURCE = {"builtin": "reviews"}
LABELS = {"a": "w5", "b": "w6 w7 w8", "c": "w9 w5"}
STACK = StackSpec(
    kind="stack",
    parts=(PrefixSpec(kind="prefix", length=3), PromptSpec(kind="prompt", length=2, init="random")),
)


def classification(**changes):
    fields = {"kind": "classification", "source": SOURCE, "prompt": "{x}", "target": "y", "labels": LABELS}
    return ClassificationSpec.model_validate(fields | changes)


def summarization(**changes):
    fields = {"kind": "summarization", "source": SOURCE, "prompt": "{x}", "target": "y", "max_new_tokens": 6}
    return SummarizationSpec.model_validate(fields | changes)


def decoder(task, method=STACK, *, batch_size=3):
    generator = torch.Generator().manual_seed(0)
    adapted = attach(tiny_t5(), method, generator=generator, tokenizer=None)
    return Decoder(adapted, word_tokenizer(), task, batch_size, "float32")


def examples(labels="abcab"):
    sources = ["w10 w11", "w12", "w13 w14 w15 w16", "w17 w18 w19", "w20 w21 w22 w23 w24 w25"]
    return [
        Example(row, source, source, LABELS[label], label)
        for row, (source, label) in enumerate(zip(sources, labels, strict=True))
    ]


def encoded(rows):
    return encode(rows, TOKENIZER, max_source_length=20, max_target_length=10)


def brute_force(model, prompt_ids, source_ids, target_ids):
    """Compute the log-likelihood of a target, token by token, one forward pass each."""
    inputs = torch.tensor([[*prompt_ids, *source_ids]])
    total, given = 0.0, [0]
    for token in target_ids:
        with torch.no_grad():
            logits = model(input_ids=inputs, decoder_input_ids=torch.tensor([given])).logits
        total += logits[0, -1].double().log_softmax(0)[token].item()
        given.append(token)
    return total


@pytest.mark.parametrize("method", [NoneSpec(kind="none"), STACK], ids=["none", "stack"])
@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 3, 8])
def test_label_likelihoods_equal_a_brute_force_over_tokens(method, batch_size):
    rows = encoded(examples())
    read = replace(decoder(classification(), method, batch_size=batch_size), tokenizer=TOKENIZER)
    for row, answer in zip(rows, read.answers(rows), strict=True):
        expected = {
            label: brute_force(
                read.adapted.model,
                read.adapted.prompt_ids,
                row.input_ids,
                TOKENIZER(text)["input_ids"],
            )
            for label, text in LABELS.items()
        }
        assert answer.log_likelihoods == pytest.approx(expected, rel=1e-4)
        assert answer.prediction == max(expected, key=expected.get)
        assert answer.loss == pytest.approx(-expected[row.label], rel=1e-4)


@pytest.mark.parametrize("most", [1, 60_000, 200_000])
def test_many_labels_are_scored_in_parts_that_stay_within_a_bound(most, monkeypatch):
    texts = {f"l{number}": f"w{number} w{number + 1}" * (1 + number % 3) for number in range(5, 30)}
    rows = [replace(row, label="l5") for row in encoded(examples())]
    read = replace(decoder(classification(labels=texts), batch_size=3), tokenizer=TOKENIZER)
    whole = read.answers(rows)
    taken, repeat = [], EncoderContext.repeat

    def noted(context, times):
        repeated = repeat(context, times)
        taken.append((times, repeated.kept_bytes))
        return repeated

    monkeypatch.setattr(EncoderContext, "repeat", noted)
    monkeypatch.setattr(likelihood, "MOST_BYTES", most)
    for one, all_at_once in zip(read.answers(rows), whole, strict=True):
        assert one.log_likelihoods == pytest.approx(all_at_once.log_likelihoods, rel=1e-5)
        assert one.prediction == all_at_once.prediction
    assert sum(times for times, _ in taken) == 2 * len(texts)  # two batches
    assert all(times == 1 or size <= most for times, size in taken)
    assert most == 1 or max(times for times, _ in taken) > 1


def test_evaluation_loss_is_the_mean_over_all_target_tokens():
    rows = encoded(examples())
    read = replace(decoder(classification()), tokenizer=TOKENIZER)
    answers = read.answers(rows)
    likelihoods = [answer.log_likelihoods[row.label] for row, answer in zip(rows, answers, strict=True)]
    tokens = [2, 4, 3, 2, 4]
    scores = scores_of(classification(), examples(), rows, answers)
    assert scores["eval_loss"] == pytest.approx(-sum(likelihoods) / sum(tokens))


def test_both_ways_of_scoring_give_the_same_evaluation_loss():
    rows = encoded(examples())
    losses = []
    for scoring in ("likelihood", "generate"):
        read = replace(decoder(classification(scoring=scoring)), tokenizer=TOKENIZER)
        losses.append([answer.loss for answer in read.answers(rows)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


PREFIX = PrefixSpec(kind="prefix", length=3)
PLACED = PrefixSpec(kind="prefix", length=3, relative_positions=True)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("method", [NoneSpec(kind="none"), STACK, PREFIX, PLACED])
def test_answers_do_not_depend_on_the_batches_they_come_in(method, size):
    rows = encoded(examples())
    one, many = (decoder(summarization(), method, batch_size=size).answers(rows) for size in (1, size))
    assert [answer.text for answer in one] == [answer.text for answer in many]
    assert [answer.loss for answer in one] == pytest.approx([answer.loss for answer in many], rel=1e-4)


@pytest.mark.parametrize("task", [summarization(), summarization(num_beams=3), classification()])
def test_no_rows_have_no_answers(task):
    assert decoder(task).answers([]) == []


def test_a_generated_text_that_is_no_label_is_an_invalid_answer():
    rows = encoded(examples())
    answers = decoder(classification(scoring="generate")).answers(rows)
    assert all(answer.text not in LABELS.values() for answer in answers)
    scores = scores_of(classification(scoring="generate"), examples(), rows, answers)
    assert (scores["eval_invalid"], scores["eval_accuracy"]) == (1.0, 0.0)


def test_beam_search_finds_texts_at_least_as_likely_as_greedy_search():
    def likelihoods(beams):
        read = decoder(summarization(num_beams=beams, max_new_tokens=4), batch_size=5)
        rows = encoded(examples())
        texts = [answer.text for answer in read.answers(rows)]
        return texts, read

    greedy, read = likelihoods(1)
    beam, _ = likelihoods(4)
    assert len(beam) == len(greedy) == 5
    ids = word_tokenizer()
    for row, one, other in zip(encoded(examples()), greedy, beam, strict=True):
        score = [
            brute_force(read.adapted.model, read.adapted.prompt_ids, row.input_ids, ids(text)["input_ids"])
            for text in (one, other)
        ]
        if len(one.split()) == len(other.split()) == 4:
            assert score[1] >= score[0] - 1e-4


def test_generation_stops_at_max_new_tokens():
    answers = decoder(summarization(max_new_tokens=3)).answers(encoded(examples()))
    assert max(len(answer.text.split()) for answer in answers) <= 3


@pytest.mark.parametrize("batch_size", [1, 5])
def test_for_timing_a_text_is_as_long_as_its_target(batch_size):
    rows = encoded(examples())
    lengths = [len(row.labels) for row in rows]
    assert len(set(lengths)) > 1
    made = decoder(summarization(max_new_tokens=max(lengths)), batch_size=batch_size)
    free = made.answers(rows)
    timed = replace(made, as_long_as_targets=True).answers(rows)
    assert [len(answer.text.split()) for answer in timed] == lengths
    for short, whole in zip(timed, free, strict=True):
        assert whole.text.startswith(short.text)
    assert [answer.loss for answer in timed] == pytest.approx([answer.loss for answer in free])


def test_for_timing_a_text_is_no_longer_than_its_limit():
    rows = encoded(examples())
    lengths = [len(row.labels) for row in rows]
    made = decoder(summarization(max_new_tokens=max(lengths) - 1))
    texts = [answer.text for answer in replace(made, as_long_as_targets=True).answers(rows)]
    assert [len(text.split()) for text in texts] == [min(length, max(lengths) - 1) for length in lengths]


def greedy(model, source_ids, steps):
    """Return the most probable next token, so many times, whatever it is."""
    given = [0]
    for _ in range(steps):
        with torch.no_grad():
            logits = model(
                input_ids=torch.tensor([source_ids]), decoder_input_ids=torch.tensor([given])
            ).logits
        given.append(logits[0, -1].argmax().item())
    return given[1:]


def ending_decoder(task, batch_size):
    """Return a decoder whose model ends some texts early."""
    read = decoder(task, NoneSpec(kind="none"), batch_size=batch_size)
    with torch.no_grad():
        read.adapted.model.lm_head.weight[END] *= -4
    return read


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize(("limit", "ended"), [(1, 3), (2, 4), (4, 4)])
def test_a_text_is_cut_if_the_limit_comes_before_its_end(limit, ended, batch_size):
    rows = encoded(examples())
    read = ending_decoder(summarization(max_new_tokens=limit), batch_size)
    expected = [END not in greedy(read.adapted.model, row.input_ids, limit) for row in rows]
    assert [answer.cut for answer in read.answers(rows)] == expected
    assert expected.count(False) == ended


def test_beam_search_tells_cut_texts_too():
    rows = encoded(examples())
    cut = [
        [
            answer.cut
            for answer in ending_decoder(summarization(num_beams=3, max_new_tokens=limit), 5).answers(rows)
        ]
        for limit in (1, 20)
    ]
    assert cut[0].count(True) > cut[1].count(True)


def test_an_answer_chosen_by_likelihood_is_neither_cut_nor_whole():
    read = replace(decoder(classification()), tokenizer=TOKENIZER)
    assert {answer.cut for answer in read.answers(encoded(examples()))} == {None}


@pytest.mark.parametrize(
    ("task", "has_column"),
    [(summarization(), True), (classification(scoring="generate"), True), (classification(), False)],
    ids=["summarization", "generated labels", "likelihood"],
)
def test_predictions_tell_which_texts_are_cut_where_text_was_generated(task, has_column, tmp_path):
    rows = encoded(examples())
    answers = replace(decoder(task), tokenizer=TOKENIZER).answers(rows)
    write_predictions(tmp_path / "predictions.parquet", predictions_of(task, examples(), rows, answers))
    table = pyarrow.parquet.read_table(tmp_path / "predictions.parquet")
    assert ("cut" in table.column_names) == has_column
    if has_column:
        assert table["cut"].to_pylist() == [answer.cut for answer in answers]


def test_predictions_tell_which_summaries_are_taken_from_the_input(tmp_path):
    source = "the first sentence of a longer text and then a second one"
    rows = [Example(row, source, source, "something else", None) for row in range(2)]
    given = ["The first sentence of a longer text", "the text has two sentences in it"]
    answers = [Answer(text, text, 1.0, {}, cut=False) for text in given]
    write_predictions(
        tmp_path / "predictions.parquet", predictions_of(summarization(), rows, encoded(rows), answers)
    )
    table = pyarrow.parquet.read_table(tmp_path / "predictions.parquet")
    assert table["copied"].to_pylist() == [True, False]


def test_evaluation_leaves_training_of_the_model_possible():
    read = replace(decoder(classification()), tokenizer=TOKENIZER)
    read.answers(encoded(examples()))
    read.adapted.model(**batch(prompt_ids=read.adapted.prompt_ids)).loss.backward()
    assert all(parameter.grad is not None for parameter in read.adapted.parameters())


def test_answers_end_after_a_ctrl_c_that_was_swallowed():
    with pytest.raises(KeyboardInterrupt), interrupts_remembered():
        ctrl_c_that_is_swallowed()
        decoder(summarization()).answers(encoded(examples()))
        pytest.fail("all rows were answered")


def wordpiece_tokenizer():
    """Return a tokenizer that takes words and signs apart, knows few of them, and joins all by spaces."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", "non", "-", "toxic", "good", "!", "very"]
    backend = Tokenizer(models.WordLevel({word: id for id, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def test_a_generated_label_is_read_as_its_tokens_are_joined():
    task = classification(labels={"a": "non-toxic", "b": "toxic"}, scoring="generate")
    read = replace(decoder(task), tokenizer=wordpiece_tokenizer())
    ids = read.tokenizer("non-toxic")["input_ids"]
    assert read.tokenizer.decode(ids, skip_special_tokens=True) == "non - toxic"

    class Writes(Decoder):
        def _generated(self, contexts, rows):
            return torch.tensor([ids for context in contexts for _ in range(context.rows)])

    answers = Writes(**vars(read)).answers(encoded(examples()))
    assert {answer.prediction for answer in answers} == {"a"}


BOTH = pytest.mark.parametrize("scoring", ["likelihood", "generate"])


@BOTH
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": "😀", "b": "😡"}, "it makes the same tokens of '😀' and '😡'"),
        ({"a": "好", "b": "good", "c": "坏"}, "it makes the same tokens of '好' and '坏'"),
        ({"a": "non-toxic", "b": "non - toxic"}, "the same tokens of 'non-toxic' and 'non - toxic'"),
        ({"a": "good", "b": " "}, r"' ' \(of 'b'\) has none; give it another text"),
        ({"a": "good", "b": "non - non - non - toxic"}, "max_target_length=6 tokens, .* has 8"),
    ],
)
def test_labels_that_no_model_can_tell_apart_are_refused(labels, message, scoring):
    task = classification(labels=labels, scoring=scoring, max_target_length=6)
    with pytest.raises(DataError, match=message):
        check_labels(task, wordpiece_tokenizer())


@BOTH
def test_a_label_may_begin_as_another_does(scoring):
    labels = {"a": "good", "b": "good good", "c": "very good", "d": "good!"}
    check_labels(classification(labels=labels, scoring=scoring), wordpiece_tokenizer())


def test_a_label_may_not_go_on_after_the_end_of_another():
    with pytest.raises(DataError, match="'w6' and 'w6 </s> w7' begin alike"):
        check_labels(classification(labels={"a": "w6 </s> w7", "b": "w6"}), word_tokenizer())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": "good", "b": "good 好"}, "'good 好' reads as 'good'"),
        ({"a": "好", "b": "good"}, "'好' reads as nothing"),
    ],
)
def test_generated_labels_must_differ_in_what_is_written(labels, message):
    check_labels(classification(labels=labels), wordpiece_tokenizer())
    with pytest.raises(DataError, match=f"{message}.*, or take scoring: likelihood"):
        check_labels(classification(labels=labels, scoring="generate"), wordpiece_tokenizer())
