"""Characteristic functions of feature distributions: E exp(i sum_j a_j x_j), with one factor per set of features."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from theory.model.features import FeatureDistribution
from theory.model.set_laws import SetLaw

__all__ = ["Transform", "characteristic_function"]


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
    value, slope = features.values.transforms(a, 1)
    own = (..., np.arange(len(outputs)), outputs)
    own_curvature = features.values.transform(a[own], 2)
    own_relative = own_curvature / _nonzero(slope[own])
    single = np.bincount(features.set_of_feature)[features.set_of_feature] == 1
    p = density[..., features.set_of_feature] * _alone(features)
    factor = 1 + p * (value - 1)
    log_slope = slope * (p / _nonzero(factor))
    product = factor[..., single].prod(-1)
    correction = None
    for s, (members, law) in enumerate(zip(features.sets, features.laws, strict=True)):
        if len(members) > 1:
            correction = np.zeros_like(log_slope) if correction is None else correction
            inside = list(members)
            _set_factor(density[..., s], inside, law, value, slope, outputs, product, log_slope, correction)
    return Transform(
        value=value,
        slope=slope,
        own_curvature=own_curvature,
        product=product,
        log_slope=log_slope,
        own_log_slope=log_slope[own],
        correction=correction,
        own_correction=own_relative - log_slope[own],
    )


def _alone(features: FeatureDistribution) -> Float[ndarray, " n"]:
    """Probability of features that are alone in their set, given that it is active; 1 for others."""
    share = np.ones(features.n)
    for members, law in zip(features.sets, features.laws, strict=True):
        if len(members) == 1:
            share[members[0]] = law.slopes(np.ones(1))[0]
    return share


def _set_factor(
    p: Float[ndarray, "..."],
    inside: list[int],
    law: SetLaw,
    value: Complex[ndarray, "... output n"],
    slope: Complex[ndarray, "... output n"],
    outputs: Int[ndarray, " output"],
    product: Complex[ndarray, "... output"],
    log_slope: Complex[ndarray, "... output n"],
    correction: Complex[ndarray, "... output n"],
) -> None:
    """Multiply one set's factor into the product, and write its members' derivatives."""
    e = value[..., inside]
    there = law.over(np.broadcast_to(p, e.shape[:-1]))
    factor = 1 + p * (there.generating(e) - 1)
    product *= factor
    by_member = there.slopes(e)
    log_slope[..., inside] = (p / _nonzero(factor))[..., None] * by_member * slope[..., inside]
    for row in np.flatnonzero(np.isin(outputs, inside)).tolist():
        i = inside.index(int(outputs[row]))
        mine = e[..., row, :]
        with_own, without = mine.copy(), mine.copy()
        with_own[..., i], without[..., i] = 1, 0
        here = law.over(np.broadcast_to(p, e.shape[:-1])[..., row])
        both = here.slopes(with_own) - here.slopes(without)  # d^2 C / de_i de_j
        within = both * slope[..., row, inside] / _nonzero(by_member[..., row, i])[..., None]
        within -= log_slope[..., row, inside]
        within[..., i] = 0
        correction[..., row, inside] = within


def _nonzero(factor: Complex[ndarray, "*shape"]) -> Complex[ndarray, "*shape"]:
    """Replace zeros, and what is as good as zero, by something far below rounding whose quotients stay finite."""
    return np.where(np.abs(factor) < 1e-150, 1e-150, factor)
