"""One mapping over here, processes and clusters: order, limits, refusals."""

import os
import time

import pytest

from theory import Problem, global_optimum
from theory.phase_diagram import exact_phase_diagram
from theory.tools.parallel import check_workers, open_pool, spread

SLEEPY = [(0.3,), (0.0,), (0.1,), (0.0,)]


def test_results_come_in_the_order_of_the_jobs() -> None:
    for workers in (1, 2):
        assert list(spread(_slept, SLEEPY, workers)) == [0.3, 0.0, 0.1, 0.0]
    with open_pool(2) as pool:
        assert sorted(pool.as_completed(_slept, SLEEPY)) == [(0, 0.3), (1, 0.0), (2, 0.1), (3, 0.0)]


def _slept(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_workers_are_limited_for_every_caller() -> None:
    most = 4 * (os.cpu_count() or 1)
    assert check_workers(most) == most
    problem = Problem(n=2, m=1, density=0.1)
    for call in (
        check_workers,
        lambda workers: list(spread(abs, [(1,)], workers)),
        lambda workers: exact_phase_diagram(2, 1, 2, workers=workers),
        lambda workers: global_optimum(problem, starts=1, workers=workers),
    ):
        for workers in (most + 1, 10**24):
            with pytest.raises(ValueError, match=f"workers must be at most {most}"):
                call(workers)
        with pytest.raises(ValueError, match="at least 1"):
            call(0)
        with pytest.raises(ValueError, match=r"looks like tcp://127\.0\.0\.1:8786"):
            call("two")


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("workers", [True, 1.5, None])
def test_other_kinds_of_workers_are_refused(workers: object) -> None:
    with pytest.raises(TypeError, match="must be a whole number or the address"):
        check_workers(workers)  # type: ignore[arg-type]


def test_an_error_in_a_worker_arrives_as_it_was() -> None:
    for workers in (1, 2):
        with pytest.raises(ZeroDivisionError):
            list(spread(divmod, [(1, 1), (1, 0)], workers))


@pytest.mark.slow
def test_a_worker_that_grows_large_is_started_anew_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    assert list(spread(_grown, [(k,) for k in range(10)], 2)) == list(range(10))
    assert not recwarn.list


_KEPT: list[bytearray] = []


def _grown(k: int) -> int:
    _KEPT.append(bytearray(b"1" * 200_000_000))
    time.sleep(0.4)
    return k
