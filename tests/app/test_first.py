"""Pages of a new server, opened at once; what came of it in a browser is seen in ``test_walk``."""

from __future__ import annotations

import importlib
from threading import Barrier, Event, Thread

import pytest


@pytest.fixture
def first_alone(parts: None):
    return importlib.reload(importlib.import_module("parts.first")).first_alone


def test_pages_are_alone_until_one_has_ended(first_alone):
    begun, go_on, both = [], Event(), Barrier(2)

    def alone(number):
        with first_alone():
            begun.append(number)
            assert go_on.wait(30)

    def together():
        with first_alone():
            both.wait(30)

    pages = [Thread(target=alone, args=(number,)) for number in range(2)]
    for page in pages:
        page.start()
    pages[1].join(0.3)
    assert len(begun) == 1
    go_on.set()
    pages += [Thread(target=together) for _ in range(2)]
    for page in pages[2:]:
        page.start()
    for page in pages:
        page.join(30)
    assert sorted(begun) == [0, 1]
    assert not both.broken


def test_a_page_that_fails_lets_the_others_in(first_alone):
    with pytest.raises(ZeroDivisionError), first_alone():
        raise ZeroDivisionError
    with first_alone(), first_alone():
        pass
