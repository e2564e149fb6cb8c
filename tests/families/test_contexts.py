"""What every family promises: a row that was read is continued as the whole model would."""

import pytest
import torch

from helpers.encoder_decoders import KINDS
from helpers.models import DECODER_ONLY, PAD, VOCABULARY, batch, tiny, tiny_t5
from tuneoff.families import Context, Family, family_of
from tuneoff.families.listening import recorded
from tuneoff.methods import attach
from tuneoff.spec import LoraSpec, NoneSpec, PrefixSpec

QUICK = ("flan", "llama", "bart")
"""A kind of each way to read and continue rows; others repeat the tests."""
METHODS = {
    "base": NoneSpec(kind="none"),
    "prefix": PrefixSpec(kind="prefix", length=3),
}


@pytest.fixture(
    params=[
        kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("flan", "t5", *DECODER_ONLY, *KINDS)
    ]
)
def kind(request) -> str:
    return request.param


@pytest.fixture(params=METHODS.values(), ids=METHODS)
def family(request, kind) -> Family:
    generator = torch.Generator().manual_seed(0)
    return attach(tiny(kind), request.param, generator=generator, tokenizer=None).family


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def read(family: Family) -> Context:
    rows = batch()
    return family.read(rows["input_ids"], rows["attention_mask"])


def alone(family: Family, row: int) -> Context:
    """Return the context of one row without padding."""
    rows = batch()
    length = int(rows["attention_mask"][row].sum())
    ids, mask = (rows[name][row : row + 1, :length] for name in ("input_ids", "attention_mask"))
    return family.read(ids, mask)


def labels() -> torch.Tensor:
    return batch()["labels"]


def tokens() -> torch.Tensor:
    """Return the labels with any token in the place of padding."""
    return labels().clamp(min=PAD)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def whole_model(family: Family, row: int) -> torch.Tensor:
    """Return the logits of a row's labels by the model's own forward pass."""
    rows = batch()
    ids, given = (
        rows[name][row][known[row]]
        for name, known in (("input_ids", rows["attention_mask"] > 0), ("labels", labels() >= 0))
    )
    config = family.model.config
    if config.is_encoder_decoder:
        first = getattr(config, "first_target_token_id", None)
        starts = [config.decoder_start_token_id, *([] if first is None else [first])]
        decoded = torch.cat([torch.tensor(starts), given[:-1]])[None]
        logits = family.model(input_ids=ids[None], decoder_input_ids=decoded).logits[0].float()
        return logits[len(starts) - 1 :]
    logits = family.model(input_ids=torch.cat([ids, given])[None]).logits[0].float()
    return logits[len(ids) - 1 : -1]


def test_predicted_labels_have_the_logits_of_the_whole_model(family):
    logits = family.logits(read(family).predict(labels()))
    for row in range(3):
        close(logits[row][labels()[row] >= 0], whole_model(family, row))


def test_one_pass_predicts_what_reading_first_does(family):
    rows = batch()
    counted = labels() >= 0
    expected = read(family).predict(labels())[counted]
    close(family.read_and_predict(**rows)[counted], expected)


def test_one_pass_goes_on_from_the_output_of_an_encoder(kind):
    family = family_of(tiny(kind))
    if family.encoder is None:
        pytest.skip("has no encoder")
    rows = batch()
    counted = labels() >= 0
    outputs = family.encoder.encode(rows["input_ids"], rows["attention_mask"])
    actual = family.read_and_predict(**rows, frozen_outputs=outputs)[counted]
    close(actual, read(family).predict(labels())[counted])


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in DECODER_ONLY]
)
def test_one_pass_goes_on_from_the_output_of_the_layers_below_those_trained(kind):
    model = tiny(kind)
    last = model.config.num_hidden_layers - 1
    method = LoraSpec(kind="lora", rank=2, layers_to_transform=(last,))
    family = attach(model, method, generator=torch.Generator().manual_seed(0), tokenizer=None).family
    rows, counted = batch(), labels() >= 0
    expected = family.read_and_predict(**rows)[counted]
    part = family.frozen_part()
    whole = [
        torch.cat([ids[mask > 0], label[label >= 0][:-1]])
        for ids, mask, label in zip(rows["input_ids"], rows["attention_mask"], labels(), strict=True)
    ]
    outputs = [part.encode(ids[None], torch.ones_like(ids)[None])[0] for ids in whole]
    layers = [family.attentions("decoder")[number] for number in (last - 1, last)]
    with recorded(layers) as run:
        padded = torch.nn.utils.rnn.pad_sequence(outputs, batch_first=True)
        actual = family.read_and_predict(**rows, frozen_outputs=padded)[counted]
    close(actual, expected)
    assert [layer in run for layer in layers] == [False, True]
    close(family.read_and_predict(**rows)[counted], expected)


def test_tokens_one_after_another_are_predicted_as_all_at_once(family):
    expected = read(family).predict(tokens())
    context = read(family)
    steps = [context.first()]
    steps += [context.follow(token[:, None])[:, 0] for token in tokens()[:, :-1].unbind(1)]
    close(torch.stack(steps, dim=1), expected)
    context = read(family)
    first = context.first()
    close(torch.cat([first[:, None], context.follow(tokens()[:, :-1])], dim=1), expected)


def test_padding_and_other_rows_change_no_row(family):
    together = read(family).predict(labels())
    for row in range(3):
        length = int((labels()[row] >= 0).sum())
        apart = alone(family, row).predict(labels()[row : row + 1, :length])
        close(apart[0], together[row, :length])


def test_a_repeated_context_continues_each_row_with_several_texts(family):
    context = read(family)
    context.first()
    texts = torch.tensor([[5, 6], [7, 8]])
    repeated = context.repeat(2)
    assert repeated.kept_bytes == 2 * context.kept_bytes > 0
    both = repeated.follow(texts.repeat(3, 1)).unflatten(0, (3, 2))
    for number, text in enumerate(texts):
        other = read(family)
        other.first()
        close(both[:, number], other.follow(text.expand(3, -1)))


def test_a_repeated_context_leaves_the_one_it_was_made_of_as_it_was(family):
    context, untouched = read(family), read(family)
    for one in (context, untouched):
        one.first()
    context.repeat(2).follow(torch.full((6, 4), 9))
    assert (context.rows, context.kept_bytes) == (untouched.rows, untouched.kept_bytes)
    assert torch.equal(context.follow(tokens()), untouched.follow(tokens()))


def test_rows_that_are_kept_go_on_as_before(family):
    whole, part = read(family), read(family)
    chosen = torch.tensor([True, False, True])
    for context in (whole, part):
        context.first()
    part.keep(chosen)
    assert part.rows == 2
    close(part.follow(tokens()[chosen]), whole.follow(tokens())[chosen])


def test_a_rewound_context_has_forgotten_all_but_the_input(family):
    context = read(family)
    context.predict(labels())
    context.rewind()
    close(context.predict(labels()), read(family).predict(labels()))


def test_the_most_probable_token_is_that_of_the_logits(family):
    width = family.model.get_output_embeddings().weight.shape[1]
    hidden = torch.randn(40, width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(family.argmax_token(hidden), family.logits(hidden).argmax(dim=1))
    assert family.logits(hidden).shape == (40, VOCABULARY)


@pytest.mark.parametrize("kind", ["flan", "t5"])
def test_keys_and_values_of_a_text_are_those_that_an_encoder_decoder_caches(kind):
    family = family_of(tiny_t5(kind))
    ids = torch.tensor([[5, 6, 7, 8]])
    cache = family.model(input_ids=ids, decoder_input_ids=ids, use_cache=True).past_key_values
    found = family.key_values(ids, ("decoder", "cross"))
    for site, layers in (
        ("decoder", cache.self_attention_cache.layers),
        ("cross", cache.cross_attention_cache.layers),
    ):
        pairs = [torch.stack([layer.keys[0], layer.values[0]]).transpose(1, 2) for layer in layers]
        close(found[site], torch.stack(pairs))


def test_beams_find_for_padded_rows_what_they_find_for_each_row_alone(family):
    limits = {"max_new_tokens": 5, "beams": 3, "eos_token_id": VOCABULARY - 1, "pad_token_id": PAD}
    together = read(family).beam_search(**limits)
    for row in range(3):
        apart = alone(family, row).beam_search(**limits)[0]
        assert together[row, : len(apart)].tolist() == apart.tolist()
