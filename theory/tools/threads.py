"""BLAS held to one thread, by any number of callers at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["one_blas_thread"]


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
