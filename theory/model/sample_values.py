"""Measured values: a sample of activations as a table of a few values with probabilities.

Zeros of a sample are no values: their share belongs into the density, the probability of being active.
"""

from pathlib import Path

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.discrete_values import Discrete

__all__ = ["sample_law", "sample_law_of_file"]

# Values of a law, and the most of them.
_GROUPS, _MOST_GROUPS = 20, 256
# Steps of Lloyd's iteration at most; it ends by itself after some hundred.
_ROUNDS = 10_000


def sample_law(sample: ArrayLike, groups: int = _GROUPS) -> Discrete:
    """
    Turn a sample of activations into a law of values.

    The numbers other than 0 are cut into groups, each of which stands for its mean, such that every number is in the
    group whose mean is nearest (Lloyd 1982). The law has the sample's mean, and a second moment that is too small by
    the variance within groups; it is the empirical law if no group holds different numbers.

    Parameters
    ----------
    sample : array_like
        Numbers of any shape; zeros are left out.
    groups : int
        Most values of the law, from 1 to 256. Few features (n = 3) with twenty take a second or so for an optimum.

    Returns
    -------
    Discrete
        The table.

    Raises
    ------
    ValueError
        If there is no number but 0, or one that is not finite, or the number of groups is out of range.

    Examples
    --------
    >>> sample_law([0.0, 1.0, 0.0, 2.0, 2.0]).atoms
    ((1.0, 0.3333333333333333), (2.0, 0.6666666666666666))
    >>> sample_law([0.0, 1.0, 2.0, 3.0, 4.0], groups=2).values
    (1.5, 3.5)
    """
    if not 1 <= groups <= _MOST_GROUPS:
        raise ValueError(f"a sample is cut into 1 to {_MOST_GROUPS} groups, got {groups}")
    numbers = np.asarray(sample)
    if numbers.dtype.kind not in "biuf":
        raise ValueError(f"a sample of values must be real numbers, got an array of {numbers.dtype}")
    numbers = numbers.astype(float).ravel()
    if not np.isfinite(numbers).all():
        raise ValueError(f"a sample of values must be finite numbers, but {(~np.isfinite(numbers)).sum()} are not")
    values, counts = np.unique(numbers[numbers != 0], return_counts=True)
    if not len(values):
        raise ValueError(f"a sample of values needs numbers other than 0, got {len(numbers)} without one")
    if len(values) <= groups:
        return Discrete(tuple(values.tolist()), tuple((counts / counts.sum()).tolist()))
    means, sizes = _grouped(values, counts, groups)
    return Discrete(tuple(means.tolist()), tuple((sizes / sizes.sum()).tolist()))


def _grouped(values: ndarray, counts: ndarray, groups: int) -> tuple[ndarray, ndarray]:
    """Means and sizes of groups whose numbers are nearest to their own mean; from groups of like size on."""
    number = np.concatenate([[0], np.cumsum(counts)])
    centre = float(values @ counts) / number[-1]  # so that sums of numbers far from 0 keep their digits
    total = np.concatenate([[0.0], np.cumsum((values - centre) * counts)])
    starts = np.unique(np.searchsorted(number, number[-1] * np.arange(groups) / groups))
    for _ in range(_ROUNDS):
        edges = np.append(starts, len(values))
        sizes = np.diff(number[edges])
        means = centre + np.diff(total[edges]) / sizes
        moved = np.concatenate([[0], np.unique(np.searchsorted(values, (means[1:] + means[:-1]) / 2))])
        if np.array_equal(moved, starts):
            break
        starts = moved
    single = np.diff(edges) == 1
    means[single] = values[starts[single]]
    return means, sizes


def sample_law_of_file(text: str) -> Discrete:
    """
    Read a sample off a file.

    Parameters
    ----------
    text : str
        FILE or FILE,GROUPS: NumPy's .npy, or text with numbers between blanks, commas or ends of lines.

    Returns
    -------
    Discrete
        The table of its numbers other than 0.

    Raises
    ------
    ValueError
        If the file cannot be read, holds anything but numbers, or ``sample_law`` refuses them.
    """
    name, comma, last = text.rpartition(",")
    groups = last.isdecimal() and bool(comma)
    path = Path(name if groups else text)
    try:
        numbers = _numbers(path)
    except OSError as error:
        raise ValueError(f"cannot read the sample of values: {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise ValueError(
            f"a sample of values is a .npy array of numbers, or text with numbers between blanks, commas or ends of "
            f"lines; {path} is neither"
        ) from None
    return sample_law(numbers, int(last) if groups else _GROUPS)


def _numbers(path: Path) -> ndarray:
    """What a file holds."""
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    return np.array(path.read_text(encoding="utf-8-sig").replace(",", " ").split(), dtype=float)
