"""BLAS threads: the same after any call, from any thread, as before."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from numerics import train
from theory import Problem
from theory.phase_diagram import exact_phase_diagram
from theory.tools.parallel import spread
from theory.tools.threads import one_blas_thread, own_threads


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_calls_that_overlap_restore_what_was_there_before_the_first() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before
        with pytest.raises(ValueError, match="failed"), one_blas_thread():
            raise ValueError("failed")
        assert blas_threads() == before


@pytest.mark.parametrize("last", ["first", "second"])
@pytest.mark.parametrize("elsewhere", ["first", "second", "both"])
def test_threads_that_overlap_restore_what_was_there_before_the_first(elsewhere: str, last: str) -> None:
    """Whichever thread was the first to set the number, whichever is the last to leave."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        holders = {"first": one_blas_thread(), "second": one_blas_thread()}
        order = sorted(holders, key=lambda name: name == last)
        with ThreadPoolExecutor(1) as other:  # one thread, alive until the end

            def call(name: str, function: Callable[..., object], *arguments: object) -> None:
                if elsewhere in (name, "both"):
                    other.submit(function, *arguments).result()
                else:
                    function(*arguments)

            for name, holder in holders.items():
                call(name, holder.__enter__)
                assert set(blas_threads()) == {1}
            for name in order:
                assert set(blas_threads()) == {1}
                call(name, holders[name].__exit__, None, None, None)
            assert blas_threads() == before


@pytest.mark.usefixtures("at_full_speed")
def test_results_and_threads_are_the_same_after_calls_from_many_threads() -> None:
    problem = Problem(n=2, m=1, density=0.1)
    expected = train(problem, 2, steps=30).W.values
    learned: list[np.ndarray] = []

    def work() -> None:
        learned.append(train(problem, 2, steps=30).W.values)
        exact_phase_diagram(2, 1, 2)

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert blas_threads() == before
    assert len(learned) == 4
    for W in learned:
        np.testing.assert_array_equal(W, expected)


def test_workers_share_the_cores() -> None:
    cores = os.cpu_count() or 1
    assert own_threads() == cores
    assert list(spread(own_threads, [(), ()], workers=2)) == [max(1, cores // 2)] * 2
