"""Jobs on a Dask cluster: connecting, refusing what cannot work, and saying in a sentence what was lost."""

import asyncio
import importlib
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from theory.tools.parallel import Failure

__all__ = ["check_address", "connected", "run_on"]

_PACKAGE = "superposition-theory"
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s/:@\[\]]+):(\d{1,5})")
# An answer takes milliseconds; these leave room for a busy machine, and together stay below ten seconds.
_KNOCK_SECONDS, _CONNECT_SECONDS, _WORKER_SECONDS = 2.0, 4.0, 2.0
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "asyncio", "tornado")


def check_address(address: str) -> str:
    """
    Check how the address of a scheduler is written.

    Parameters
    ----------
    address : str
        Such as tcp://127.0.0.1:8786.

    Returns
    -------
    str
        The same address.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> check_address("tcp://127.0.0.1:8786")
    'tcp://127.0.0.1:8786'
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(f"a Dask scheduler's address looks like tcp://127.0.0.1:8786, got {address!r}")
    return address


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """
    Connect to a cluster whose workers have this version of the package.

    Parameters
    ----------
    address : str
        The scheduler.

    Yields
    ------
    distributed.Client
        Closed, and its jobs given up, at the end.

    Raises
    ------
    ValueError
        If dask.distributed is not installed, or a worker has another version of this package, or none.
    OSError
        If the scheduler does not answer, or has no workers.
    """
    _knock(address)
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise ValueError("a Dask cluster needs dask.distributed: install the extra 'distributed'") from None
    with _quiet():
        _shake_hands(address)
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        try:
            _check_workers(client, address)
            yield client
        finally:
            with suppress(Exception):  # a scheduler that is gone cannot be taken leave of
                client.close(timeout=1)


def _knock(address: str) -> None:
    """Fail at once where nobody listens: Dask would try for long."""
    match = _ADDRESS.fullmatch(address)
    assert match is not None
    try:
        with socket.create_connection((match[2].strip("[]"), int(match[3])), timeout=_KNOCK_SECONDS):
            pass
    except OSError as problem:
        raise OSError(
            f"no Dask scheduler answers at {address} ({problem.strerror or problem}); start one with `dask scheduler`"
        ) from None


def _shake_hands(address: str) -> None:
    """Make sure that it is Dask who listens: a client that finds somebody else takes long, and complains."""
    connect = importlib.import_module("distributed.comm").connect
    met: list[bool] = []

    async def visit() -> None:
        comm = await connect(address, timeout=_CONNECT_SECONDS)
        met.append(True)
        await comm.close()

    def try_to() -> None:
        with suppress(Exception):  # whatever the other side makes it stumble over
            asyncio.run(visit())

    # In a thread that nobody waits for in the end: some of what is not Dask keeps it beyond every time-out.
    thread = threading.Thread(target=try_to, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    if not met:
        raise OSError(f"what listens at {address} is no Dask scheduler")


def _check_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_WORKER_SECONDS)
    except TimeoutError:
        raise OSError(f"the scheduler at {address} has no workers; start some with `dask worker {address}`") from None
    for worker, found in client.run(version, _PACKAGE, on_error="return").items():
        _refuse_other_version(str(worker), found if isinstance(found, str) else None)


def _refuse_other_version(worker: str, found: str | None) -> None:
    here = version(_PACKAGE)
    if found != here:
        theirs = f"version {found}" if found else "no version"
        raise ValueError(
            f"the Dask worker {worker} has {theirs} of {_PACKAGE}, this process has {here}; install the same on both"
        )


@dataclass(frozen=True, eq=False)
class _Job:
    """A call that Dask does not look into, with the version of the package that asks for it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    version: str


def _work(job: _Job) -> Any:
    """On a worker, which may have joined after the others were asked for their versions: do a job."""
    try:
        here = version(_PACKAGE)
    except PackageNotFoundError:
        here = "unknown"
    if here != job.version:
        raise Failure(f"a Dask worker that joined has version {here} of {_PACKAGE}, not {job.version}")
    return job.function(*job.arguments)


def run_on(
    client: Any, address: str, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """
    Run jobs on a cluster; what a lost worker was doing is done again by another.

    Parameters
    ----------
    client : distributed.Client
        The connection.
    address : str
        The scheduler, as errors name it.
    function : callable
        The workers must be able to import it.
    jobs : sequence of tuple
        The arguments of each call.

    Returns
    -------
    iterator of tuple of int and object
        A job's position and its result, in the order in which they are done.
    """
    here = version(_PACKAGE)
    position = {client.submit(_work, _Job(function, job, here), pure=False): k for k, job in enumerate(jobs)}
    return _gathered(client, address, position)


def _gathered(client: Any, address: str, position: dict[Any, int]) -> Iterator[tuple[int, Any]]:
    distributed: Any = importlib.import_module("distributed")
    # The client is named, for it is nobody's default.
    done = distributed.as_completed(list(position), loop=client.loop, with_results=True, raise_errors=False)
    for future, result in done:
        if future.status == "error":
            try:
                future.result()
            except distributed.KilledWorker:
                raise Failure(f"workers of the Dask cluster at {address} died again and again at one job") from None
        if future.status != "finished" or isinstance(result, BaseException):
            raise Failure(f"the Dask scheduler at {address} was lost")
        yield position.pop(future), result  # forgotten here, the result is freed there


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging what is about to be said in one sentence."""
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
