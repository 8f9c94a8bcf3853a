"""The two sizes of the demonstration of superposition, and what is known of them exactly."""

from typing import TYPE_CHECKING

import numpy as np

from theory import Problem

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["DENSITIES", "SIZES", "first_pair", "linear_optimum", "problems"]

DENSITIES = np.geomspace(1.0, 0.001, 7)
SIZES = {"small": (20, 5, 0.7), "large": (80, 20, 0.9)}


def problems(size: str) -> Problem:
    """
    Give the problems of one size, one per density.

    Parameters
    ----------
    size : {"small", "large"}
        Which.

    Returns
    -------
    Problem
        A batch of 7.
    """
    n, m, decay = SIZES[size]
    return Problem(m=m, density=np.repeat(DENSITIES[:, None], n, axis=1), importance=decay ** np.arange(n))


def linear_optimum(size: str) -> tuple["ndarray", "ndarray", "ndarray"]:
    """
    Give the exact optimum of the linear model.

    Parameters
    ----------
    size : {"small", "large"}
        Which problems.

    Returns
    -------
    G : ndarray, shape (n, n)
        W^T W, the same at every density.
    b : ndarray, shape (7, n)
        Biases.
    loss : ndarray, shape (7,)
        Population losses.
    """
    n, m, decay = SIZES[size]
    top = np.arange(n) < m
    weight = decay ** np.arange(n)
    variance = DENSITIES / 3 - DENSITIES**2 / 4
    return np.diag(top.astype(float)), np.where(top, 0.0, DENSITIES[:, None] / 2), variance * weight[~top].sum()


def first_pair(size: str) -> float:
    """
    Density below which the first antipodal pair pays, ideally stored: that of features m and m + 1.

    Parameters
    ----------
    size : {"small", "large"}
        Which problems.

    Returns
    -------
    float
        2 / (5/2 + I_m / I_{m+1}).
    """
    return 2 / (2.5 + 1 / SIZES[size][2])
