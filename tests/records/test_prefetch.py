"""Reading ahead: order, early lists from a slow source, failures in their place."""

import itertools
import random
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.records.prefetch import gather, map_ahead
from shell import ROOT, environment


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 200), st.integers(1, 50))
def test_every_item_once_in_order_in_lists_of_the_most(n, most):
    lists = list(gather(iter(range(n)), most, patience_s=5))
    assert list(itertools.chain.from_iterable(lists)) == list(range(n))
    assert all(len(items) == most for items in lists[:-1]) and all(0 < len(items) <= most for items in lists)


def test_order_holds_when_both_sides_are_unsteady():
    pick = random.Random(5)

    def source():
        for i in range(600):
            if pick.random() < 0.01:
                time.sleep(0.002)
            yield i

    found = []
    for items in gather(source(), 17, patience_s=0.001):
        if pick.random() < 0.1:
            time.sleep(0.002)
        assert 0 < len(items) <= 17
        found += items
    assert found == list(range(600))


def test_a_slow_source_is_not_held_back():
    gate = threading.Event()

    def source():
        yield from (1, 2, 3)
        assert gate.wait(10)
        yield 4

    lists = gather(source(), 1000, patience_s=0.05)
    assert next(lists) == [1, 2, 3]  # although the fourth has not come
    gate.set()
    assert list(lists) == [[4]]


def test_a_failure_comes_after_the_items_before_it():
    def source():
        yield from range(5)
        raise ValueError("line 6")

    found = []
    with pytest.raises(ValueError, match="line 6"):
        for items in gather(source(), 2):
            found += items
    assert found == [0, 1, 2, 3, 4]


def test_no_more_than_asked_is_read_ahead():
    n_read = 0

    def source():
        nonlocal n_read
        for i in range(10_000):
            n_read += 1
            yield i

    lists = gather(source(), 10)
    next(lists)
    time.sleep(0.05)
    assert n_read <= 10 + 10 + 2
    lists.close()


def test_closing_lets_go_of_the_reader():
    """Neither the thread nor what it holds outlives the one who reads."""
    before = set(threading.enumerate())
    lists = gather(iter(range(10_000)), 10)
    next(lists)
    readers = set(threading.enumerate()) - before
    lists.close()
    for reader in readers:
        reader.join(2)
    assert not any(reader.is_alive() for reader in readers)


def test_an_empty_source_gives_no_list():
    assert list(gather(iter(()), 4)) == []


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(1, 4), st.randoms(use_true_random=False))
def test_work_ahead_comes_in_order_and_no_further_than_said(n, n_threads, pick):
    asked = 0

    def source():
        nonlocal asked
        for i in range(n):
            asked += 1
            yield i

    def work(i):
        if pick.random() < 0.2:
            time.sleep(0.001)
        return i * i

    for place, (item, result) in enumerate(map_ahead(source(), work, n_threads)):
        assert (item, result) == (place, place * place)
        assert asked <= place + n_threads + 1  # where the first of n + 1 is done with, its place may be filled anew
    assert asked == n


def test_work_ahead_overlaps():
    both = threading.Barrier(2, timeout=10)  # passed only by two at once
    assert [result for _, result in map_ahead(range(4), lambda _: both.wait() >= 0, 2)] == [True] * 4


@pytest.mark.parametrize("fails_in", ["items", "work"])
def test_what_fails_ahead_is_raised_after_what_came_before(fails_in):
    def source():
        yield from range(5)
        if fails_in == "items":
            raise ValueError("the sixth")
        yield 5

    def work(i):
        if i == 5:
            raise ValueError("the sixth")
        return i

    found = []
    with pytest.raises(ValueError, match="the sixth"):
        for item, _ in map_ahead(source(), work, 3):
            found.append(item)
    assert found == [0, 1, 2, 3, 4]


ALARMED = """
import random, signal, threading

from doxa.records.prefetch import gather

class Alarm(Exception):
    pass

def alarm(number, frame):
    raise Alarm

def one_and_silence(silence):
    yield 1
    silence.wait()

signal.signal(signal.SIGALRM, alarm)
random.seed(1)
for _ in range(600):
    silence = threading.Event()
    try:
        for taken in gather(one_and_silence(silence), 4, 0.0):
            signal.setitimer(signal.ITIMER_REAL, 2e-5 + random.random() * 1e-4)
    except Alarm:
        pass
    silence.set()
"""


def test_a_signal_while_nothing_comes_ends_it():
    """A lock that it left taken would make the end wait for ever."""
    done = subprocess.run([sys.executable, "-c", ALARMED], env=environment({"PYTHONPATH": str(ROOT / "lib")}), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
