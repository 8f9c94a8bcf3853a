"""What is measured: functions that give a loss and its gradient together with the errors that they state."""

import warnings
from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy import ndarray

from theory import FeatureDistribution, Problem, loss_estimate, population_loss_and_gradient
from theory.loss import AccuracyWarning
from theory.loss.by_halves import errors_by_halves
from theory.loss.engine.engine import row_errors
from theory.loss.engine.rows import Features, Rows
from theory.loss.halves import halves_of
from theory.loss.quadrature import ROUNDING, quadrature
from theory.model.activations import RELU

__all__ = [
    "TOLERANCE",
    "Estimate",
    "Estimator",
    "RowsEstimator",
    "certified",
    "certified_rows",
    "halves_rows",
    "load",
    "todays_loss",
    "todays_rows",
]

# value, value_error, dW, db, gradient_error: the errors are absolute, one number per model; gradient_error bounds
# every entry of dW and db. Infinity says that nothing is stated.
Estimate = tuple[ndarray, ndarray, ndarray, ndarray, ndarray]
Estimator = Callable[[ndarray, ndarray, Problem], Estimate]
# The same for rows of couplings instead of an embedding: G, b, each row's own feature, features, variances of noise.
# The derivative in the noise may follow gradient_error, which then bounds it too.
RowsEstimator = Callable[[ndarray, ndarray, ndarray, FeatureDistribution, ndarray], tuple[ndarray, ...]]

# The default accuracy of theory.population_loss.
TOLERANCE = 1e-7
# What lists of states leave out, in turn.
LEFT_OUT = (0.0, 1e-9, 1e-5, 0.03)


def certified(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
    """Give the loss with the errors that ``theory.loss_estimate`` states, model by model."""
    batch = np.broadcast_shapes(W.shape[:-2], b.shape[:-1], problem.batch_shape)
    W = np.broadcast_to(W, (*batch, *W.shape[-2:])).reshape(-1, *W.shape[-2:])
    b = np.broadcast_to(b, (*batch, problem.n)).reshape(-1, problem.n)
    each = problem.repeated(1 if problem.batch_shape or not batch else len(W))
    found = []
    for k in range(len(W)):
        one = each.take(np.array([k]))
        single = Problem(
            m=one.m, features=one.features.with_density(one.features.density.reshape(-1)), importance=one.importance[0]
        )
        found.append(loss_estimate(W[k], b[k], single, rtol=TOLERANCE))
    parts = ([f.value for f in found], [f.error for f in found], [f.gradient["W"] for f in found],
             [f.gradient["b"] for f in found], [f.gradient_error for f in found])  # fmt: skip
    value, error, dW, db, slope = (np.array(part) for part in parts)
    return (
        value.reshape(batch), error.reshape(batch), dW.reshape(*batch, *W.shape[-2:]), db.reshape(*batch, problem.n),
        slope.reshape(batch),
    )  # fmt: skip


def certified_rows(
    G: ndarray, b: ndarray, own: ndarray, features: FeatureDistribution, noise: ndarray
) -> tuple[ndarray, ...]:
    """Give single outputs, each of its own distribution, with the errors that the engine states."""
    found = []
    for k in range(len(b)):
        law = features.with_density(features.density[k]) if features.batch_shape else features
        some = Rows(G[k : k + 1], b[k : k + 1], own[k : k + 1], noise[k : k + 1])
        found.append(row_errors(some, Features.of(law), rtol=TOLERANCE))
    value, error, dG, db, slope, dnoise, noise_error = (
        np.concatenate([getattr(f, name) for f in found])
        for name in ("value", "error", "dG", "db", "gradient_error", "dnoise", "noise_error")
    )
    return value, error, dG, db, np.maximum(slope, noise_error), dnoise


def halves_rows(
    G: ndarray, b: ndarray, own: ndarray, features: FeatureDistribution, noise: ndarray
) -> tuple[ndarray, ...]:
    """Give single outputs of binary values from states listed half by half, some of them left out."""
    if noise.any() or not features.values.atoms:
        raise ValueError("only discrete values without noise are listed")
    found = []
    for k in range(len(b)):
        law = features.with_density(features.density[k]) if features.batch_shape else features
        halves = halves_of(law, LEFT_OUT[k % len(LEFT_OUT)], (10**6, 10**6))
        if halves is None:
            raise ValueError("sets of so many members are not listed")
        found.append(errors_by_halves(G[k : k + 1], b[k : k + 1], own[k : k + 1], halves, RELU))
    value, truncation, rounding, dG, db, slope = (
        np.concatenate([getattr(f, name) for f in found])
        for name in ("value", "truncation", "rounding", "dG", "db", "gradient_error")
    )
    return value, truncation + rounding, dG, db, slope


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


def todays_rows(G: ndarray, b: ndarray, own: ndarray, features: FeatureDistribution, noise: ndarray) -> Estimate:
    """
    Give single outputs as today's quadrature has them, one call per output.

    The gradient is held to the value's relative accuracy as in ``todays_loss``.
    """
    if noise.any():
        raise ValueError("there is no noise in today's loss")
    parts: list[list[ndarray]] = [[], [], [], [], []]
    for k, i in enumerate(own):
        law = features.with_density(features.density[k : k + 1]) if features.batch_shape else features
        found = quadrature(
            G[None, k : k + 1], b[None, k : k + 1], law, np.ones((1, 1)), TOLERANCE, outputs=np.array([i])
        )
        p = float(np.broadcast_to(law.feature_density, (1, law.n))[0, i])
        dG, db, value = found.dG[0, 0], found.db[0, 0], found.value[0, 0]
        accurate = found.error[0, 0] <= TOLERANCE * value + ROUNDING * law.value_square * p
        stated = TOLERANCE * value + ROUNDING * p if accurate else np.inf
        slope_stated = TOLERANCE * max(p, np.abs(dG).max(), abs(db)) if accurate else np.inf
        for part, number in zip(parts, (value, stated, dG, db, slope_stated), strict=True):
            part.append(number)
    value, value_error, dG, db, gradient_error = map(np.array, parts)
    return value, value_error, dG, db, gradient_error


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
