"""One function over many jobs: here, in local processes, or on a Dask cluster; results do not depend on where.

Everything in the project that runs in parallel goes through this module. ``workers`` is the number of local processes,
or the address of a Dask scheduler, which theory.tools.cluster talks to.
"""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from theory.tools.interruption import inherited_block
from theory.tools.threads import share_cores

__all__ = ["Failure", "Pool", "Workers", "check_workers", "open_pool", "spread"]

Workers = int | str
Result = TypeVar("Result")
_Numbered = Iterator[tuple[int, Any]]

# Processes beyond a few per core only cost memory; a number like 1000 is a slip of the keyboard.
_WORKERS_PER_CORE = 4
# How often a worker looks whether the process that started it is still there.
_WATCH_SECONDS = 0.2
# What loky says when it starts a worker anew whose memory has grown by 300 MB: large problems do, and it is no trouble.
_STARTED_ANEW = "A worker stopped while some jobs were given to the executor"


class Failure(RuntimeError):
    """The environment failed during the work, not the input: a lost worker, a lost scheduler."""


def check_workers(workers: Workers) -> Workers:
    """
    Check a number of worker processes.

    Parameters
    ----------
    workers : int or str
        Number of processes, or the address of a Dask scheduler.

    Returns
    -------
    int or str
        The same.

    Raises
    ------
    TypeError
        If it is neither a whole number nor text.
    ValueError
        If it is below 1 or beyond what the machine can sensibly run, or the text is no address.
    """
    if isinstance(workers, str):
        from theory.tools.cluster import check_address

        return check_address(workers)
    if isinstance(workers, bool) or not hasattr(workers, "__index__"):
        raise TypeError(f"workers must be a whole number or the address of a Dask scheduler, got {workers!r}")
    cores = os.cpu_count() or 1
    most = _WORKERS_PER_CORE * cores
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers > most:
        raise ValueError(f"workers must be at most {most}, with {cores} cores, got {workers}")
    return int(workers)


@dataclass(frozen=True)
class Pool:
    """
    Where jobs run.

    Attributes
    ----------
    run : callable
        Takes a function and a sequence of jobs, starts at once, and gives numbers of jobs with their results, in the
        order in which they are done.
    """

    run: Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], _Numbered]

    def as_completed(
        self, function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Result]]:
        """
        Apply a function, and give results as they come.

        Parameters
        ----------
        function : callable
            Other processes must be able to import it.
        jobs : iterable of tuple
            The arguments of each call.

        Returns
        -------
        iterator of tuple of int and object
            A job's position and its result.
        """
        return self.run(function, list(jobs))

    def map(self, function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
        """
        Apply a function, and give results in the order of the jobs.

        Parameters
        ----------
        function : callable
            Other processes must be able to import it.
        jobs : iterable of tuple
            The arguments of each call.

        Yields
        ------
        object
            The results.
        """
        early: dict[int, Result] = {}
        following = 0
        for k, result in self.as_completed(function, jobs):
            early[k] = result
            while following in early:
                yield early.pop(following)
                following += 1


@contextmanager
def open_pool(workers: Workers = 1) -> Iterator[Pool]:
    """
    Open a pool for a series of calls.

    Parameters
    ----------
    workers : int or str
        Number of processes, 1 staying in this one; or the address of a Dask scheduler, such as tcp://127.0.0.1:8786.

    Yields
    ------
    Pool
        Where jobs run.

    Raises
    ------
    ValueError
        If the workers are out of range, no address, or have another version of this package.
    OSError
        If the scheduler does not answer.
    Failure
        If a worker process or the scheduler is lost during the work.
    """
    chosen = check_workers(workers)
    if isinstance(chosen, str):
        from theory.tools.cluster import connected, run_on

        with connected(chosen) as client:
            yield Pool(partial(run_on, client, chosen))
    else:
        yield Pool(_run_here if chosen == 1 else partial(_run_in_processes, chosen))


def spread(function: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], workers: Workers = 1) -> Iterator[Result]:
    """
    Apply a function to many jobs.

    Parameters
    ----------
    function : callable
        Other processes must be able to import it.
    jobs : iterable of tuple
        The arguments of each call.
    workers : int or str
        As for ``open_pool``.

    Yields
    ------
    object
        The results, in the order of the jobs.

    Examples
    --------
    >>> list(spread(pow, [(2, 3), (3, 2)]))
    [8, 9]
    """
    with open_pool(workers) as pool:
        yield from pool.map(function, jobs)


def _run_here(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> _Numbered:
    return ((k, function(*job)) for k, job in enumerate(jobs))


def _run_in_processes(workers: int, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> _Numbered:
    import joblib

    warnings.filterwarnings("ignore", message=_STARTED_ANEW, category=UserWarning)
    with _quiet_tracker(), inherited_block():
        pool = joblib.Parallel(
            n_jobs=workers,
            backend="loky",
            return_as="generator_unordered",
            max_nbytes=None,  # no arrays in temporary files, which a killed command would leave behind
            initializer=_follow,
            initargs=(os.getpid(), workers),
        )
        results = pool(joblib.delayed(_numbered)(function, k, job) for k, job in enumerate(jobs))
    return _told(results)


def _told(results: _Numbered) -> _Numbered:
    """Say in a sentence that a worker process died."""
    from concurrent.futures.process import BrokenProcessPool

    try:
        yield from results
    except BrokenProcessPool:
        raise Failure("a worker process died, perhaps for lack of memory; try fewer workers") from None


def _numbered(function: Callable[..., Any], k: int, job: tuple[Any, ...]) -> tuple[int, Any]:
    return k, function(*job)


def _follow(parent: int, workers: int) -> None:
    """
    Let a worker take its share of the cores, and end when the process that started it ends.

    However that ends: kill -9 leaves no time to say so.
    """
    share_cores(workers)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _quiet_tracker() -> Iterator[None]:
    """
    Start what tracks resources, so that it clears up after a killed command without reporting what it found.

    It comes before the signals are blocked: starting Python's own unblocks them.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker")))
    try:
        from multiprocessing import resource_tracker

        from joblib.externals.loky.backend import resource_tracker as joblib_tracker

        for tracker in (resource_tracker, joblib_tracker):
            tracker.ensure_running()
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before
