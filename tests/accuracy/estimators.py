"""What is measured: functions that give a loss and its gradient together with the errors that they state."""

import warnings
from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy import ndarray

from theory import Problem, population_loss_and_gradient
from theory.loss import AccuracyWarning
from theory.quadrature import ROUNDING

__all__ = ["TOLERANCE", "Estimate", "Estimator", "load", "todays_loss"]

# value, value_error, dW, db, gradient_error: the errors are absolute, one number per model; gradient_error bounds
# every entry of dW and db. Infinity says that nothing is stated.
Estimate = tuple[ndarray, ndarray, ndarray, ndarray, ndarray]
Estimator = Callable[[ndarray, ndarray, Problem], Estimate]

# The default accuracy of theory.population_loss.
TOLERANCE = 1e-7


def todays_loss(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
    """
    Give the loss as ``theory`` has it, which states a relative accuracy of the loss and none of the gradient.

    The loss also has a floor, a rounding error of the zero model's. The gradient is held to the same relative
    accuracy: of sum_i I_i p_i, or of its own largest entry if that is larger. A warning withdraws both statements.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value, dW, db = population_loss_and_gradient(W, b, problem, rtol=TOLERANCE)
    value = np.asarray(value)
    largest = np.maximum(np.abs(dW).max((-1, -2)), np.abs(db).max(-1))
    weight = (problem.importance * problem.density).sum(-1)
    value_error = TOLERANCE * value + ROUNDING * problem.features.value_square * weight
    gradient_error = TOLERANCE * np.maximum(largest, weight)
    if any(issubclass(w.category, AccuracyWarning) for w in caught):
        value_error, gradient_error = np.full_like(value, np.inf), np.full_like(value, np.inf)
    return value, value_error, dW, db, gradient_error


def load(name: str) -> Estimator:
    """
    Find an estimator by its name.

    Parameters
    ----------
    name : str
        "module:function".

    Returns
    -------
    callable
        The function.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError):
        raise ValueError(f"an estimator is given as module:function, and there is no {name!r}") from None
