"""Drawings come in order, whoever draws them."""

from itertools import count, islice

import pytest

from xaibench.errors import UserError
from xaibench.phantoms import drawing
from xaibench.phantoms.drawing import drawn_in_order


def square(number):
    if number < 0:
        raise ValueError(f"no square of {number} here")
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_drawings_come_in_order(workers):
    with drawn_in_order(square, range(50), workers) as drawn:
        assert list(drawn) == [number * number for number in range(50)]


@pytest.mark.parametrize("workers", [1, 2])
def test_only_a_short_queue_is_drawn_ahead(workers):
    taken = []
    items = (taken.append(number) or number for number in count())
    with drawn_in_order(square, items, workers) as drawn:
        assert list(islice(drawn, 3)) == [0, 1, 4]
    ahead = 0 if workers == 1 else drawing._QUEUE
    assert 3 <= len(taken) <= 3 + ahead


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_drawing_reaches_the_caller(workers):
    with drawn_in_order(square, [2, -1, 3], workers) as drawn:
        assert next(drawn) == 4
        with pytest.raises(ValueError, match="no square of -1 here"):
            next(drawn)


def test_less_than_one_worker_is_refused():
    with pytest.raises(UserError, match=r"workers is 0.*at least 1"), drawn_in_order(square, [], 0):
        pass
