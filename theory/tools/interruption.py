"""How signals end a command: at once, with one line, and never in the middle of a file.

Python turns Ctrl-C into an exception at whatever line it happens to be: inside an import, a destructor or a callback,
where it is reported at length, or lost. A command therefore leaves the process itself as soon as a signal comes, from
its first import on. What it started follows it (theory.tools.parallel), and files being written are finished first.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["guard_command", "inherited_block", "release_command", "uninterrupted"]

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _WORDS[signal.SIGHUP] = "its terminal was closed"
_PACKAGES = ("theory", "numerics", "figures", "tests")
_CONSOLE = "superposition"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def guard_command() -> None:
    """
    Take over signals and standard streams, if this process is one of the project's commands.

    Called by the packages when they are imported, so that the rest of the imports is guarded, too. In a process that
    only uses the packages as libraries nothing changes.
    """
    if not _is_command() or threading.current_thread() is not threading.main_thread():
        return
    for number in _WORDS:
        # A shell starts what it sends to the background with Ctrl-C ignored, and so it stays.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    _open_closed_streams()


def _is_command() -> bool:
    """Whether the process is ``python -m`` one of our modules, a script of the figures, or the console script."""
    if module := _module():
        return module.partition(".")[0] in _PACKAGES
    folder, name = os.path.split(os.path.abspath(_script()))
    return folder == os.path.join(_ROOT, "figures") or name == _CONSOLE


def _module() -> str:
    """What Python was started with -m for; nothing if it was not."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if not word.startswith("-"):
            break
        for k, letter in enumerate(word[1:], 2):  # such as -OOm
            if letter == "m":
                return word[k:] or next(words, "")
            if letter in "cWX-":  # these take the rest, or the next word
                if letter in "WX" and not word[k:]:
                    next(words, "")
                break
    return ""


def _script() -> str:
    return str(getattr(sys.modules.get("__main__"), "__file__", None) or "")


def command_name() -> str:
    """How the command was started, without its arguments."""
    if module := _module():
        return f"python -m {module}"
    if os.path.basename(_script()) == _CONSOLE:
        return " ".join((_CONSOLE, *(word for word in sys.orig_argv[2:3] if not word.startswith("-"))))
    return os.path.relpath(_script(), _ROOT) if _script() else "python"


def _leave(number: int, frame: FrameType | None) -> None:
    """Say why, take the workers along, and go: no clean-up that could wait, fail or talk."""
    for each in _WORDS:
        signal.signal(each, signal.SIG_IGN)
    with suppress(OSError):
        over_bar = "\r\x1b[K" if os.isatty(2) else ""
        os.write(2, f"{over_bar}{command_name()}: {_WORDS[signal.Signals(number)]}\n".encode(errors="replace"))
    processes = sys.modules.get("multiprocessing.process")
    with suppress(Exception):  # those that this misses end by themselves, a moment later
        for child in processes.active_children() if processes else ():
            child.kill()
    os._exit(128 + number)


def release_command() -> None:
    """Let signals that come when the work is done pass: Python, about to end, would die of them."""
    for number in _WORDS:
        if signal.getsignal(number) is _leave:
            signal.signal(number, signal.SIG_IGN)


def _open_closed_streams() -> None:
    """Give closed standard streams somewhere to go, lest the next file opened be taken for one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            os.set_inheritable(descriptor, True)  # workers need it, too
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # open until the end
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII only shows question marks


@contextmanager
def uninterrupted() -> Iterator[None]:
    """
    Put signals off until what stands inside is done; for moments only, such as writing a file.

    Yields
    ------
    None
        Signals that came meanwhile take effect at the end.
    """
    came: list[int] = []
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _WORDS:
                if callable(signal.getsignal(number)) or signal.getsignal(number) == signal.SIG_DFL:
                    before[number] = signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def inherited_block() -> Iterator[None]:
    """
    Keep signals away from threads and processes that are started inside, for good; here they take effect afterwards.

    Ctrl-C in a terminal goes to every process: to workers, too, which would each report it at length.

    Yields
    ------
    None
        Signals that come meanwhile take effect at the end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WORDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
