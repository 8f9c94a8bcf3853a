"""What every command of the project shares: its options, clear refusals, and exit codes.

0 for success; 2 with one line on stderr for bad input; 1 with one line where the environment fails during the work (a
full disk, a lost worker) or the program does (an internal error); 130, 143 and 129 after Ctrl-C, SIGTERM and SIGHUP.
"""

import argparse
import dis
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

from theory.tools.arguments import count
from theory.tools.interruption import release_command
from theory.tools.parallel import Failure, Workers, check_workers

__all__ = [
    "Parser",
    "progress",
    "run_command",
    "tell",
    "ticking_bar",
]

Item = TypeVar("Item")
# A ValueError of one of these is the program's: it should not have asked for that.
_LIBRARIES = ("numpy", "scipy", "sympy", "xarray", "pandas", "matplotlib")
# Work that is done sooner needs no bar; after that its clock moves once in so many seconds, whether a step ends or not.
_DELAY, _TICK = 2.0, 1.0
# What is one piece of work has no steps to count.
_NO_STEPS = "{desc} [{elapsed}]"
# A terminal that does not know its size counts as one of so many columns and rows: tqdm hides bars below the last row.
_COLUMNS, _ROWS = 80, 24
# In a file or pipe a line says now and then how far the work is: the first when a command has run for so many seconds
# and the work for so many, the next when the work has taken twice as long, but after so many seconds at most.
_STARTED = time.monotonic()
_QUIET, _BRIEF, _SILENCE = 60.0, 20.0, 600.0


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default == []
        return action.help if nothing else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that shows defaults in ``--help`` and refuses bad input in one line."""

    def __init__(self, description: str, prog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=_Defaults,
            allow_abbrev=False,
        )
        self.add_argument(
            "--traceback", action="store_true", help="show where an error comes from, instead of one line"
        )

    def print_help(self, file: Any = None) -> None:
        """Print the help; a reader that has gone away is no failure, as argparse knows from Python 3.11.3 on."""
        with suppress(BrokenPipeError):
            super().print_help(file)

    def error(self, message: str) -> NoReturn:
        """
        Print one line on stderr and leave with exit code 2.

        Parameters
        ----------
        message : str
            What was wrong.
        """
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")

    def add_workers(self, default: int = 2) -> None:
        """
        Add the options ``--workers`` and ``--dask``, of which ``workers`` holds the one that was given.

        Parameters
        ----------
        default : int
            Number of local processes.
        """
        self.add_argument("--workers", type=_workers, default=default, help="local processes")
        self.add_argument(
            "--dask",
            dest="workers",
            type=_scheduler,
            default=argparse.SUPPRESS,
            metavar="ADDRESS",
            help="scheduler of a Dask cluster that does the work instead, such as tcp://127.0.0.1:8786",
        )

    def add_overwrite(self) -> None:
        """Add the option ``--overwrite``."""
        self.add_argument(
            "--overwrite",
            action="store_true",
            help="replace files of the results' names that this command did not write",
        )


def _workers(text: str) -> Workers:
    try:
        return check_workers(count(text))
    except ValueError as refusal:
        raise argparse.ArgumentTypeError(str(refusal)) from None


def _scheduler(text: str) -> Workers:
    try:
        return check_workers(text)
    except ValueError as refusal:
        raise argparse.ArgumentTypeError(str(refusal)) from None


def tell(text: object) -> None:
    """
    Print a result on stdout; a reader that has gone away, such as ``head``, does not stop the work.

    Parameters
    ----------
    text : object
        What to print.
    """
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        _drop_stdout()


def _drop_stdout() -> None:
    """Send the rest of the output, and what is in the buffer, nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def progress(
    items: Iterable[Item], total: int | None = None, label: str = "", sizes: Sequence[int] | None = None
) -> Iterable[Item]:
    """
    Go through items and say on stderr how far they are, as ``ticking_bar`` does.

    Parameters
    ----------
    items : iterable
        What to go through.
    total : int, optional
        Their number, where it cannot be asked of the items.
    label : str
        What is being done.
    sizes : sequence of int, optional
        How much of what is counted every item is; by default each counts as one.

    Returns
    -------
    iterable
        The same items.
    """
    counted = len(items) if total is None and isinstance(items, Sized) else total
    with ticking_bar(label, counted if sizes is None else sum(sizes)) as step:
        for k, item in enumerate(items):
            yield item
            step(1 if sizes is None else sizes[k])


@contextmanager
def ticking_bar(label: str, total: int | None = None, wanted: bool = True) -> Iterator[Callable[..., object]]:
    """
    Say on stderr how far long work is: by a bar where it is a terminal, else by a line now and then.

    The bar comes after two seconds, and its clock moves every second: long work without steps, too, says what is being
    done. The first line comes after a minute.

    Parameters
    ----------
    label : str
        What is being done.
    total : int, optional
        The number of steps, if it is known; 1 for work without steps.
    wanted : bool
        Whether to say anything at all.

    Yields
    ------
    callable
        To be called after every step, or with the number of steps that were made.
    """
    if not wanted or sys.stderr is None:
        yield _not_counted
    elif "ipykernel" in sys.modules or sys.stderr.isatty():
        with _bar(label, total) as step:
            yield step
    else:
        with _lines(label, total) as step:
            yield step


def _not_counted(_: int = 1) -> None:
    """Make a step that nobody asks for."""


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[..., object]]:
    """Show a bar."""
    from tqdm.auto import tqdm

    form, (columns, rows) = _NO_STEPS if total == 1 else None, _unknown_size()
    bar = tqdm(total=total, desc=label, delay=_DELAY, leave=False, bar_format=form, ncols=columns, nrows=rows)
    with bar, _beside(partial(_tick, bar)):
        yield bar.update


def _unknown_size() -> tuple[int, int] | tuple[None, None]:
    """What to take for the size of the terminal that stderr is, if it does not know."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # no terminal of the system's own, such as a notebook's
        known = True
    return (None, None) if known else (_COLUMNS, _ROWS)


@contextmanager
def _lines(label: str, total: int | None) -> Iterator[Callable[..., object]]:
    """Print lines."""
    count = _Count()
    with _beside(partial(_report, label, total, count)):
        yield count.add


@contextmanager
def _beside(say: Callable[[threading.Event], None]) -> Iterator[None]:
    """Let a thread speak until the work is done."""
    done = threading.Event()
    speaker = threading.Thread(target=say, args=(done,), daemon=True)
    speaker.start()
    try:
        yield
    finally:
        done.set()
        speaker.join()


@dataclass
class _Count:
    """How many steps have been made."""

    steps: int = 0

    def add(self, steps: int = 1) -> None:
        self.steps += steps


def _report(label: str, total: int | None, count: _Count, done: threading.Event) -> None:
    """Print a line now and then."""
    start = time.monotonic()
    pause = max(_QUIET - (start - _STARTED), _BRIEF)
    while not done.wait(pause):
        elapsed = time.monotonic() - start
        with suppress(OSError, ValueError):  # a file that was closed
            print(_told(label, total, count.steps, elapsed), file=sys.stderr, flush=True)  # noqa: T201
        pause = min(elapsed, _SILENCE)


def _told(label: str, total: int | None, steps: int, elapsed: float) -> str:
    """How far work is, in a line."""
    if total == 1:
        return f"{label}: not done after {_duration(elapsed)}"
    known = f"{label}: {steps}{'' if total is None else f' of {total}'} done after {_duration(elapsed)}"
    if total is None or not 0 < steps < total:
        return known
    return f"{known}, about {_duration(elapsed * (total - steps) / steps)} left"


def _duration(seconds: float) -> str:
    """A time in one unit."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _tick(bar: Any, done: threading.Event) -> None:
    """Show a bar again every second, from its delay on."""
    if done.wait(_DELAY):
        return
    ended = False
    while not ended:
        with suppress(OSError, ValueError):  # a terminal that was closed
            bar.refresh()
        ended = done.wait(_TICK)
    bar.last_print_t = time.time()  # a bar that believes it was never shown leaves its line


def run_command(main: Callable[[Sequence[str] | None], None], name: str, argv: Sequence[str] | None = None) -> None:
    """
    Run a command's main function; what it refuses, and what fails under it, becomes one line on stderr.

    Parameters
    ----------
    main : callable
        Takes the arguments after the command's name, or None for those of the process.
    name : str
        The command, as its line of refusal begins.
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Raises
    ------
    SystemExit
        With code 2 if the input is refused, 1 if the environment fails, 130 if the user interrupts.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = partial(_warn, name)
            _called(main, argv)
        _flush()
    except (Failure, MemoryError) as failure:
        _leave(name, failure, 1)
    except (ValueError, TypeError, OSError) as refusal:
        if not isinstance(refusal, OSError) and not _said(refusal):
            _leave(name, _slip(refusal), 1)
        # The system's own errors carry a number; those that say what is wrong with the input do not.
        _leave(name, refusal, 1 if getattr(refusal, "errno", None) else 2)
    except KeyboardInterrupt:
        _leave(name, "interrupted", 130)
    except SystemExit:
        _flush()
        raise
    except Exception as slip:
        _leave(name, _slip(slip), 1)
    finally:
        release_command()


def _warn(name: str, message: Warning | str, *_: Any) -> None:
    """Show a warning as a line of the command, not as one of its source."""
    with suppress(OSError):
        print(f"{name}: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201


def _called(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None) -> None:
    """Call a command; with ``--traceback`` an error is shown on its way up."""
    try:
        main(argv)
    except Exception:
        if "--traceback" in (sys.argv[1:] if argv is None else argv):
            import traceback

            traceback.print_exc()
        raise


def _slip(error: Exception) -> str:
    """How an error of the program is told."""
    return f"internal error, {type(error).__name__}: {error} (--traceback shows where)"


def _said(error: Exception) -> bool:
    """
    Whether an error was raised on purpose, to say what is wrong with the input, and is no slip of the program.

    What was said ends in a ``raise`` of a module that is not one of the libraries that compute.
    """
    trace = error.__traceback__
    if trace is None:
        return True
    while trace.tb_next is not None:
        trace = trace.tb_next
    package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    raised = dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
    return raised and package not in _LIBRARIES


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError:
        _drop_stdout()
        raise


def _leave(name: str, why: object, code: int) -> NoReturn:
    with suppress(OSError):
        print(f"{name}: {' '.join(str(why).split()) or type(why).__name__}", file=sys.stderr)  # noqa: T201
    with suppress(OSError):
        _flush()
    raise SystemExit(code) from None
