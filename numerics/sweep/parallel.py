"""One function over many items, in local processes or on a Dask cluster, results as they come."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import joblib

__all__ = ["map_dask", "map_local"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CONNECT_SECONDS = 20


def map_local(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[int, Result]]:
    """
    Apply a function in local processes.

    Parameters
    ----------
    function : callable
        Takes one item.
    items : sequence
        What to apply it to.
    workers : int
        Number of processes; 1 stays in this one.

    Yields
    ------
    tuple of int and object
        An item's position and its result, in the order in which they are done.
    """
    if workers == 1:
        yield from ((k, function(item)) for k, item in enumerate(items))
        return
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    yield from pool(joblib.delayed(_numbered)(function, k, item) for k, item in enumerate(items))


def _numbered(function: Callable[[Item], Result], k: int, item: Item) -> tuple[int, Result]:
    return k, function(item)


def map_dask(function: Callable[[Item], Result], items: Sequence[Item], address: str) -> Iterator[tuple[int, Result]]:
    """
    Apply a function on a Dask cluster; what a lost worker was doing is done again by another.

    Parameters
    ----------
    function : callable
        Takes one item; the workers must be able to import it.
    items : sequence
        What to apply it to.
    address : str
        The scheduler, such as tcp://127.0.0.1:8786.

    Yields
    ------
    tuple of int and object
        An item's position and its result, in the order in which they are done.

    Raises
    ------
    ValueError
        If dask.distributed is not installed.
    OSError
        If the scheduler does not answer.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise ValueError("a Dask cluster needs dask.distributed: install the extra 'distributed'") from None
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as problem:
        raise OSError(f"no Dask scheduler answers at {address}: {problem}") from None
    with client:
        futures = client.map(function, items, pure=False)
        position = {future.key: k for k, future in enumerate(futures)}
        for future, result in distributed.as_completed(futures, with_results=True):
            yield position[future.key], result
