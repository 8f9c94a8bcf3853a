"""What is measured of models with and without a ReLU on the hidden layer."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from theory import Problem, unrepresented_loss

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = [
    "DECAY",
    "MODELS",
    "MONOSEMANTIC",
    "THRESHOLDS",
    "M",
    "N",
    "best",
    "largest_share",
    "monosemantic",
    "monosemantic_loss",
    "of_best",
    "problem",
]

N, M, DECAY = 10, 5, 0.75
MODELS = {"relu_hidden": "ReLU on the hidden layer", "relu": "no ReLU on the hidden layer"}
# Least share of its squared weight that a monosemantic neuron has on one feature; others for comparison.
MONOSEMANTIC, THRESHOLDS = 0.9, (0.7, 0.8, 0.95)
# A neuron this weak reads nothing.
_SILENT = 0.1


def problem(density: float) -> Problem:
    """
    Give the problem at one density.

    Parameters
    ----------
    density : float
        Density p of the features.

    Returns
    -------
    Problem
        10 features in 5 dimensions.
    """
    return Problem(n=N, m=M, density=density, importance=DECAY ** np.arange(N))


def monosemantic_loss(density: float) -> float:
    """
    Give the loss of one neuron for each of the most important features.

    Parameters
    ----------
    density : float
        Density p of the features.

    Returns
    -------
    float
        (p/3 - p^2/4) sum_{i > m} I_i, with or without a hidden ReLU.
    """
    return float(unrepresented_loss(density) * (DECAY ** np.arange(N))[M:].sum())


def largest_share(W: "ndarray") -> "ndarray":
    """
    Say how much of each neuron's squared weight lies on one feature.

    Parameters
    ----------
    W : ndarray, shape (..., m, n)
        Embedding.

    Returns
    -------
    ndarray, shape (..., m)
        max_i W_ki^2 / sum_i W_ki^2, from 1/n to 1; 0 for a silent neuron.
    """
    squares = W**2
    total = squares.sum(-1)
    return np.asarray(np.where(total > _SILENT, squares.max(-1) / np.maximum(total, _SILENT), 0.0))


def monosemantic(data: xr.Dataset, threshold: float = MONOSEMANTIC) -> "ndarray":
    """
    Count the monosemantic neurons.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    threshold : float
        Least share of the strongest feature.

    Returns
    -------
    ndarray of int, shape (models, densities, instances)
        Number of neurons, 0 to 5.
    """
    return np.asarray((largest_share(data["W"].values) > threshold).sum(-1))


def best(data: xr.Dataset) -> "ndarray":
    """
    Pick the best instances.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.

    Returns
    -------
    ndarray of int, shape (models, densities)
        Which instance has the least loss.
    """
    return np.asarray(data["loss"].values.argmin(-1))


def of_best(data: xr.Dataset, values: "ndarray") -> "ndarray":
    """
    Pick what belongs to the best instances.

    Parameters
    ----------
    data : xarray.Dataset
        As ``compute`` returns it.
    values : ndarray, shape (models, densities, instances)
        One value per trained model.

    Returns
    -------
    ndarray, shape (models, densities)
        Those of the best.
    """
    return np.take_along_axis(values, best(data)[..., None], axis=2)[..., 0]
