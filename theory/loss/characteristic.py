"""Characteristic functions of feature distributions: E exp(i sum_j a_j x_j), with one factor per set of features."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from theory.model.features import Anticorrelated, Correlated, FeatureDistribution

__all__ = ["Transform", "characteristic_function", "value_curvature", "value_transform"]

# Below this argument the quotients of sin and cos lose digits, and four terms of their series are exact.
_SERIES = 0.05
# Stands for an argument of 0, which quotients would turn into NaN; small enough to change no phase.
_NO_ZERO = 1e-300


def value_transform(
    a: Float[ndarray, "*shape"], values: str
) -> tuple[Complex[ndarray, "*shape"], Complex[ndarray, "*shape"]]:
    """
    Give e(a) = E exp(iau) of an active feature's value u, and its derivative.

    Parameters
    ----------
    a : ndarray
        Arguments, any shape.
    values : {"uniform", "binary"}
        Law of the value: U[0, 1], or the constant 1.

    Returns
    -------
    transform, slope : ndarray of complex
        e(a) and de/da.
    """
    if values == "binary":
        transform = np.exp(1j * a)
        return transform, 1j * transform
    # Real arithmetic without np.where on the whole array: this is the inner loop of every quadrature.
    x = np.copysign(np.maximum(np.abs(0.5 * a), _NO_ZERO), a)
    sine, cosine = np.sin(x), np.cos(x)
    sinc = sine / x
    sinc_slope = (cosine - sinc) / x
    small = np.abs(x) < _SERIES
    near = x[small]
    square = near * near
    sinc_slope[small] = -near / 3 * (1 - square / 10 * (1 - square / 28 * (1 - square / 54)))
    transform, slope = np.empty(x.shape, dtype=complex), np.empty(x.shape, dtype=complex)
    transform.real, transform.imag = cosine * sinc, sine * sinc
    slope.real = 0.5 * (cosine * sinc_slope - transform.imag)
    slope.imag = 0.5 * (sine * sinc_slope + transform.real)
    return transform, slope


def value_curvature(
    a: Float[ndarray, "*shape"], slope: Complex[ndarray, "*shape"], values: str
) -> Complex[ndarray, "*shape"]:
    """
    Give the second derivative of e(a) = E exp(iau).

    Parameters
    ----------
    a : ndarray
        Arguments, any shape.
    slope : ndarray of complex, same shape
        de/da, as ``value_transform`` gives it.
    values : {"uniform", "binary"}
        Law of the value: U[0, 1], or the constant 1.

    Returns
    -------
    ndarray of complex
        - E u^2 exp(iau).
    """
    if values == "binary":
        return 1j * slope
    near = np.abs(a) < 1  # where the quotient would lose digits
    curvature = (1j * np.exp(1j * a) - 2 * slope) / np.where(near, 1.0, a)
    series, power = np.zeros(int(near.sum()), dtype=complex), np.ones(int(near.sum()), dtype=complex)
    for k in range(18):  # 1/17! is below the rounding error
        series -= power / (k + 3)
        power = power * (1j * a[near]) / (k + 1)
    curvature[near] = series
    return curvature


@dataclass(frozen=True, eq=False)
class Transform:
    """
    Characteristic function at the couplings of a block of outputs, and what its derivatives need.

    Attributes
    ----------
    value, slope : ndarray of complex, shape (..., output, n)
        e(a_j) and e'(a_j) of every feature.
    own_curvature : ndarray of complex, shape (..., output)
        e''(a_i) of the output's own feature i.
    product : ndarray of complex, shape (..., output)
        phi = E exp(i sum_j a_j x_j).
    log_slope : ndarray of complex, shape (..., output, n)
        d log phi / d a_j.
    own_log_slope : ndarray of complex, shape (..., output)
        The same for the output's own feature; E x_i exp(i sum_j a_j x_j) = - i phi times this.
    correction : ndarray of complex, shape (..., output, n), or None
        What d log E[x_i exp(i sum_j a_j x_j)] / d a_j is more than ``log_slope``, non-zero within the set of i,
        apart from the own feature; None if sets are single features.
    own_correction : ndarray of complex, shape (..., output)
        The same for the own feature.
    """

    value: ndarray
    slope: ndarray
    own_curvature: ndarray
    product: ndarray
    log_slope: ndarray
    own_log_slope: ndarray
    correction: ndarray | None
    own_correction: ndarray


def characteristic_function(
    a: Float[ndarray, "*shape output n"],
    density: Float[ndarray, "..."],
    features: FeatureDistribution,
    outputs: Int[ndarray, " output"],
) -> Transform:
    """
    Evaluate the characteristic function of a feature distribution.

    Parameters
    ----------
    a : ndarray, shape (..., output, n)
        Arguments: t times the couplings of each output.
    density : ndarray, broadcastable to shape (..., output, n_sets)
        Density of every set.
    features : FeatureDistribution
        The sets and the value law; its own density is not used.
    outputs : ndarray of int, shape (output,)
        The own feature of each output.

    Returns
    -------
    Transform
        The function and its logarithmic derivatives.
    """
    value, slope = value_transform(a, features.values)
    own = (..., np.arange(len(outputs)), outputs)
    own_curvature = value_curvature(a[own], slope[own], features.values)
    own_relative = own_curvature / slope[own]
    if not isinstance(features, (Correlated, Anticorrelated)):
        factor = 1 + density * (value - 1)
        log_slope = slope * (density / _nonzero(factor))
        return Transform(
            value=value,
            slope=slope,
            own_curvature=own_curvature,
            product=factor.prod(-1),
            log_slope=log_slope,
            own_log_slope=log_slope[own],
            correction=None,
            own_correction=own_relative - log_slope[own],
        )
    owner = features.set_of_feature
    relative = slope / _nonzero(value)
    transform = _set_transform(value, features)
    factor = 1 + density * (transform - 1)
    weight = (density / _nonzero(factor))[..., owner]
    if isinstance(features, Correlated):
        log_slope = weight * transform[..., owner] * relative
        within = relative
    else:
        sizes = np.bincount(owner)[owner]
        log_slope = weight * slope / sizes
        within = np.zeros_like(relative)
    correction = np.where(owner == owner[outputs][:, None], within - log_slope, 0)
    correction[own] = 0
    return Transform(
        value=value,
        slope=slope,
        own_curvature=own_curvature,
        product=factor.prod(-1),
        log_slope=log_slope,
        own_log_slope=log_slope[own],
        correction=correction,
        own_correction=own_relative - log_slope[own],
    )


def _nonzero(factor: Complex[ndarray, "*shape"]) -> Complex[ndarray, "*shape"]:
    """Replace exact zeros, which a division could not undo in the product, by something far below rounding."""
    return np.where(factor == 0, 1e-200, factor)


def _set_transform(
    value: Complex[ndarray, "*shape n"], features: Correlated | Anticorrelated
) -> Complex[ndarray, "*shape n_sets"]:
    """E exp(i sum a_j x_j) over an active set: a product if all its features are active, a mean if one is."""
    order = np.concatenate([list(members) for members in features.sets])
    sizes = np.array([len(members) for members in features.sets])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if isinstance(features, Correlated):
        return np.multiply.reduceat(value[..., order], starts, axis=-1)
    return np.add.reduceat(value[..., order], starts, axis=-1) / sizes
