"""What every command of the project shares: clear refusals, and exit code 2 with one line for bad input."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

__all__ = [
    "Parser",
    "count",
    "density",
    "make_folder",
    "non_negative_count",
    "positive",
    "progress",
    "run_command",
    "writable_directory",
]

Item = TypeVar("Item")


class Parser(argparse.ArgumentParser):
    """An argument parser that shows defaults in ``--help`` and refuses bad input in one line."""

    def __init__(self, description: str, prog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """
        Print one line on stderr and leave with exit code 2.

        Parameters
        ----------
        message : str
            What was wrong.
        """
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def count(text: str) -> int:
    """
    Read a whole number >= 1.

    Parameters
    ----------
    text : str
        The argument.

    Returns
    -------
    int
        Its value.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is anything else.
    """
    return _whole_number(text, least=1)


def non_negative_count(text: str) -> int:
    """
    Read a whole number >= 0, such as a seed.

    Parameters
    ----------
    text : str
        The argument.

    Returns
    -------
    int
        Its value.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is anything else.
    """
    return _whole_number(text, least=0)


def _whole_number(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be a whole number >= {least}, got {text!r}")
    return value


def positive(text: str) -> float:
    """
    Read a finite number > 0.

    Parameters
    ----------
    text : str
        The argument.

    Returns
    -------
    float
        Its value.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a finite number > 0, got {text!r}")
    return value


def density(text: str) -> float:
    """
    Read a density p = 1 - S in (0, 1].

    Parameters
    ----------
    text : str
        The argument.

    Returns
    -------
    float
        Its value.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is anything else.
    """
    value = positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"a density p = 1 - S must lie in (0, 1], got {text!r}")
    return value


def writable_directory(text: str) -> Path:
    """
    Read the folder that results go to; it need not exist yet, but it must be possible to make and write it.

    Parameters
    ----------
    text : str
        The argument.

    Returns
    -------
    Path
        The folder; it is not made yet.

    Raises
    ------
    argparse.ArgumentTypeError
        If it could not be written.
    """
    folder = Path(text)
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {existing} is not writable")
    return folder


def make_folder(folder: Path) -> None:
    """
    Make the folder that results go to.

    Parameters
    ----------
    folder : Path
        The folder, as ``writable_directory`` read it.

    Raises
    ------
    OSError
        If it cannot be made, although the folder above it looked writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write to {folder}: {error.strerror}") from None


def progress(items: Iterable[Item], total: int | None = None, label: str = "") -> Iterable[Item]:
    """
    Go through items with a bar on stderr, if that takes more than two seconds and stderr is a terminal.

    Parameters
    ----------
    items : iterable
        What to go through.
    total : int, optional
        Their number, where it cannot be asked of the items.
    label : str
        What is being done.

    Returns
    -------
    iterable
        The same items.
    """
    from tqdm import tqdm

    return tqdm(items, total=total, desc=label, delay=2, leave=False, disable=not sys.stderr.isatty())


def run_command(main: Callable[[Sequence[str] | None], None], name: str, argv: Sequence[str] | None = None) -> None:
    """
    Run a command's main function; what it refuses becomes one line on stderr and exit code 2.

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
        With code 2 if the input is refused, 130 if the user interrupts.
    """
    try:
        main(argv)
    except (ValueError, TypeError, OSError) as refusal:
        print(f"{name}: {' '.join(str(refusal).split())}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
