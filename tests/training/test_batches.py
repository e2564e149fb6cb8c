import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.models import word_tokenizer
from tuneoff.tasks import Example
from tuneoff.training import Encoded, collate, encode
from tuneoff.training.batches import (
    BATCH_TOKENS,
    epochs,
    filled_batches,
    length_sorted_batches,
    min_padding_batches,
)

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=300)


def first_epoch(lengths, *, batch_size, grouped, seed=0):
    order = torch.Generator().manual_seed(seed)
    return next(epochs(lengths, batch_size=batch_size, group_by_length=grouped, order=order))


@given(LENGTHS, st.integers(1, 9), st.booleans())
def test_an_epoch_has_every_row_once_in_full_batches_but_for_the_last_of_a_part(lengths, size, grouped):
    batches = first_epoch(lengths, batch_size=size, grouped=grouped)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert sum(len(batch) < size for batch in batches) == bool(len(lengths) % size)


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_grouped_batches_hold_no_more_padding_than_ungrouped_ones(count, random):
    lengths = [random.randint(1, 40) for _ in range(4 * count)]

    def padding(grouped):
        batches = first_epoch(lengths, batch_size=4, grouped=grouped)
        return sum(max(lengths[row] for row in batch) - lengths[row] for batch in batches for row in batch)

    assert padding(grouped=True) <= padding(grouped=False)


def test_epochs_differ_from_each_other_and_between_seeds():
    lengths = list(range(1, 60))
    passes = epochs(lengths, batch_size=4, group_by_length=True, order=torch.Generator().manual_seed(0))
    one, two = next(passes), next(passes)
    assert one != two
    assert first_epoch(lengths, batch_size=4, grouped=True, seed=1) != one


@given(LENGTHS, st.integers(1, 9))
def test_evaluation_batches_go_from_long_to_short(lengths, size):
    rows = [row for batch in length_sorted_batches(lengths, size) for row in batch]
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=9), st.integers(1, 9))
def test_no_cut_of_the_sorted_rows_costs_less_than_min_padding_batches(lengths, size):
    def cost(batches):
        return sum(len(batch) * max(batch) + BATCH_TOKENS for batch in batches)

    chosen = [[lengths[row] for row in batch] for batch in min_padding_batches(lengths, size)]
    ordered = sorted(lengths, reverse=True)
    assert [length for batch in chosen for length in batch] == ordered
    cuts = [
        [ordered[start:end] for start, end in itertools.pairwise((0, *inner, len(ordered)))]
        for count in range(len(ordered))
        for inner in itertools.combinations(range(1, len(ordered)), count)
    ]
    assert cost(chosen) == min(cost(cut) for cut in cuts if max(map(len, cut)) <= size)


@given(LENGTHS, st.integers(1, 9))
def test_min_padding_batches_hold_every_row_once(lengths, size):
    batches = min_padding_batches(lengths, size)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in batches)


def test_long_texts_are_cut_before_their_end_of_sequence_and_counted():
    pairs = [("w3 w4 w5 w6", "w7 w8 w9"), ("w3 w4", "w7")]
    rows = [Example(row, text, text, target, None) for row, (text, target) in enumerate(pairs)]
    long, short = encode(rows, word_tokenizer(ends_input=True), max_source_length=3, max_target_length=3)
    assert (list(long.input_ids), list(long.labels)) == ([3, 4, 1], [7, 8, 1])
    assert (long.truncated_input, long.truncated_target) == (True, True)
    assert (list(short.input_ids), list(short.labels)) == ([3, 4, 1], [7, 1])
    assert (short.truncated_input, short.truncated_target) == (False, False)


def test_a_batch_has_prompt_ids_first_padding_last_and_ignored_labels():
    rows = [Encoded([5, 1], [7, 8, 1], None, False, False), Encoded([5, 6, 4, 1], [9], None, False, False)]
    batch = collate(rows, prompt_ids=(60, 61), pad_token_id=0, device=torch.device("cpu"))
    assert batch["input_ids"].tolist() == [[60, 61, 5, 1, 0, 0], [60, 61, 5, 6, 4, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert batch["labels"].tolist() == [[7, 8, 1], [9, -100, -100]]


@given(LENGTHS, st.integers(1, 9), st.integers(0, 50))
def test_filled_batches_hold_every_row_once_and_as_many_as_the_first_has_room_for(lengths, size, written):
    batches = filled_batches(lengths, size, written=written)
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    room = size * (max(lengths) + written)
    for batch, following in zip(batches, [*batches[1:], []], strict=True):
        taken = lengths[batch[0]] + written
        assert len(batch) * taken <= room
        assert not following or (len(batch) + 1) * taken > room
