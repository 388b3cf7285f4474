"""Reading ahead: one batch, in a thread, whatever becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from vqkit.data.ahead import read_ahead


def test_the_next_is_read_while_this_one_is_worked_on() -> None:
    begun = [threading.Event() for _ in range(4)]

    def batches() -> Generator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    found = []
    for number in read_ahead(batches()):
        if number < 3:
            assert begun[number + 1].wait(timeout=30)  # nobody has asked for it
        assert not any(event.is_set() for event in begun[number + 2 :])
        found.append(number)
    assert found == [0, 1, 2, 3]


def test_an_error_comes_in_its_place_and_a_caller_who_leaves_closes_it() -> None:
    closed = []

    def batches(fails: bool) -> Generator[int]:
        try:
            yield 0
            if fails:
                raise OSError("gone")
            yield 1
            yield 2
        finally:
            closed.append(fails)

    reading = read_ahead(batches(True))
    assert next(reading) == 0
    with pytest.raises(OSError, match="gone"):
        next(reading)
    reading = read_ahead(batches(False))
    assert next(reading) == 0
    reading.close()
    assert closed == [True, False]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vqkit-ahead")]
