"""How many threads a process may use for its own loops, and BLAS held to one, by any number of callers at once."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["one_blas_thread", "own_threads", "share_cores"]

# How many processes share the cores with this one, itself included.
_SHARING = 1


def share_cores(processes: int) -> None:
    """
    Say that several processes work side by side, of which this is one.

    Parameters
    ----------
    processes : int
        How many, >= 1.
    """
    global _SHARING
    _SHARING = processes


def own_threads() -> int:
    """
    Say how many threads this process may use: its share of the cores.

    Returns
    -------
    int
        The number of cores, divided by that of the processes that share them; at least 1.
    """
    return max(1, (os.cpu_count() or 1) // _SHARING)


class _Holders:
    """Who asks for one thread at the moment, and how many there were before the first asked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.limits: Any = None


# The number of threads belongs to the process. Callers that each restored what they had found would, where they
# overlap, restore each other's single thread.
_HOLDERS = _Holders()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """
    Hold BLAS to one thread: matrices of a few columns gain nothing from more, and processes are what runs in parallel.

    Yields
    ------
    None
        When the last of all callers, in whatever thread, is done, there are as many threads as before the first.
    """
    from threadpoolctl import threadpool_limits

    with _HOLDERS.lock:
        if not _HOLDERS.count:
            with _in_any_thread():
                _HOLDERS.limits = threadpool_limits(1, user_api="blas")
        _HOLDERS.count += 1
    try:
        yield
    finally:
        with _HOLDERS.lock:
            _HOLDERS.count -= 1
            if not _HOLDERS.count:
                with _in_any_thread():
                    _HOLDERS.limits.restore_original_limits()


@contextmanager
def _in_any_thread() -> Iterator[None]:
    """Make limits take effect: threadpoolctl >= 3.8 ignores those of all threads but one, which it forgets here."""
    import threadpoolctl

    forget = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", lambda force: None)
    forget(force=True)
    try:
        yield
    finally:
        forget(force=True)
