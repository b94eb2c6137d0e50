"""Freed memory is kept while it is wanted, and given back afterwards."""

import resource
from pathlib import Path

import pytest
import torch

from aegle.learning.memory import _glibc, kept_memory

pytestmark = pytest.mark.skipif(_glibc() is None, reason="the allocator is not GNU's")

BLOCK = 64 * 2**20
PAGES = BLOCK // resource.getpagesize()


def fill():
    """Write a block, and return how often the system had to give a page for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(BLOCK, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_pages_are_asked_for_until_there_are_enough():
    # What earlier tests freed would be used first.
    _glibc().malloc_trim(0)
    with kept_memory():
        first = [fill() for _ in range(20)]
        later = [fill() for _ in range(5)]

    assert max(first) > PAGES / 2
    assert sum(later) < PAGES / 10


def test_afterwards_memory_is_given_back():
    with kept_memory():
        for _ in range(10):
            fill()
        inside = resident()

    assert inside - resident() > BLOCK / 2
    fill()
    assert inside - resident() > BLOCK / 2


def fail():
    with kept_memory():
        fill()
        raise KeyError(resident())


def test_an_error_ends_it_too():
    with pytest.raises(KeyError) as caught:
        fail()

    assert caught.value.args[0] - resident() > BLOCK / 2
