"""Batches: every item is done once, in its place, whatever fits; and what does not fit is done in halves."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.batches import bucketed, in_batches, is_card_lost, is_out_of_memory, sparing

lengths = st.lists(st.integers(1, 100), max_size=40)


@given(lengths, st.integers(1, 500))
def test_every_item_is_in_one_batch_that_fits_unless_it_is_alone(lengths, room):
    batches = bucketed(lengths, room)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= room


@given(lengths, st.integers(1, 500))
def test_a_batch_holds_items_of_like_length(lengths, room):
    batches = bucketed(lengths, room)
    for one, other in pairwise(batches):
        assert min(lengths[index] for index in one) >= max(lengths[index] for index in other)


@given(lengths, st.integers(1, 500), st.integers(1, 100))
def test_answers_come_in_the_order_of_the_items_however_little_the_memory_holds(lengths, room, memory):
    done: list[list[int]] = []

    def work(batch):
        if len(batch) * max(batch) > memory and len(batch) > 1:
            raise RuntimeError("CUDA failed with error out of memory")
        done.append(list(batch))
        return [2 * item for item in batch]

    assert in_batches(lengths, work, length=float, room=room) == [2 * item for item in lengths]
    assert sorted(item for batch in done for item in batch) == sorted(lengths)


def test_one_item_too_large_raises_and_so_does_any_other_trouble():
    def full(batch):
        raise RuntimeError("CUDA error: out of memory")

    def broken(batch):
        raise RuntimeError("a shape does not fit")

    with pytest.raises(RuntimeError, match="out of memory"):
        in_batches([1, 2, 3], full, length=float, room=100)
    asked = []
    with pytest.raises(RuntimeError, match="does not fit"):
        in_batches([1, 2, 3], lambda batch: (asked.append(batch), broken(batch))[1], length=float, room=100)
    assert len(asked) == 1, "what is no lack of memory is not tried in halves"


def test_out_of_memory_is_known_by_its_class_and_by_its_words():
    class OutOfMemoryError(RuntimeError):
        pass

    assert is_out_of_memory(OutOfMemoryError("HIP is full"))
    assert is_out_of_memory(RuntimeError("CUDA failed with error out of memory"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(RuntimeError("no kernel image"))


LOST = "CUDA error: an illegal memory access was encountered"


@given(st.lists(st.booleans(), max_size=20))
def test_what_fails_costs_itself_alone(bad):
    def work(batch):
        if any(is_bad for _, is_bad in batch):
            raise ValueError("odd")
        return [number for number, _ in batch]

    items = list(enumerate(bad))
    made = sparing(items, work, lambda item, why: f"{item[0]}: {why}", "the work")
    assert made == [f"{number}: ValueError: odd" if is_bad else number for number, is_bad in items]


def test_a_card_that_is_lost_is_put_up_with_nowhere():
    def lost(batch):
        raise RuntimeError(LOST)

    with pytest.raises(RuntimeError, match="illegal memory"):
        sparing([1], lost, lambda item, why: item, "the work")
    assert is_card_lost(RuntimeError(LOST))
    assert is_card_lost(RuntimeError("CUDA error: device-side assert triggered"))
    assert is_card_lost(RuntimeError("CUDA failed with error unspecified launch failure"))
    assert not is_card_lost(RuntimeError("CUDA error: out of memory"))
    assert not is_card_lost(ValueError(LOST))
