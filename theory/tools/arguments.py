"""Readers of the arguments that commands share; each refuses what it cannot use in one sentence."""

import argparse
import math
import os
from pathlib import Path

__all__ = [
    "MOST_FEATURES", "count", "density", "features", "non_negative_count", "positive", "writable_directory",
]  # fmt: skip

# A model of more features, or dimensions, is no work for a command: its couplings are the square of them in number.
MOST_FEATURES = 10_000


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


def features(text: str) -> int:
    """
    Read a number of features or of hidden dimensions, from 1 to 10,000.

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
    value = count(text)
    if value > MOST_FEATURES:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_FEATURES:,}, got {text!r}")
    return value


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
    try:
        existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    except OSError as problem:  # a folder above it lets nobody look inside, or the name is none
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {problem.strerror or problem}") from None
    if not existing.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"cannot write to {text}: {existing} is not writable")
    return folder
