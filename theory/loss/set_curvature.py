"""Second derivatives of an output's squared error where features are correlated.

As in theory.loss.output_curvature the error of an output z = b + sum_j c_j x_j has the second derivatives

    E (1 + sgn z) z_a z_b - 2 E x_0 delta(z) z_a z_b .

Let P(e) be the product of the sets' polynomials at the values' transforms e_j = e(t c_j), P_j and P_jk its derivatives.
Then, but for exp(itb),

    E x_j x_k exp(itz) = (-i e_j') (-i e_k') P_jk ,    E x_j^2 exp(itz) = - e_j'' P_j ,

and the same with x_0 under the expectation is said by -i e_0' and dP/de_0, another product of polynomials, since P is
affine in every e_j. So one function serves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from theory.loss.output_curvature import MARGIN, ORDER, TAPER, limit_curvatures
from theory.model.features import FeatureDistribution
from theory.model.values import UNIFORM

__all__ = ["set_curvatures"]

# Stands for a polynomial that is exactly 0.
_ZERO = 1e-200


def set_curvatures(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    own: Int[ndarray, " r"],
    features: FeatureDistribution,
    nodes: int = 128,
) -> Float[ndarray, "r k k"]:
    """
    Give the second derivatives of outputs' expected squared errors.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, features in their order.
    b : ndarray, shape (r,)
        Biases.
    own : ndarray of int, shape (r,)
        Own feature of each output.
    features : FeatureDistribution
        A single distribution, of any sets; values are uniform on [0, 1].
    nodes : int
        Nodes of the midpoint rule.

    Returns
    -------
    ndarray, shape (r, n + 1, n + 1)
        In the couplings, then the bias. Where a second derivative jumps, the one on the side of z <= 0.
    """
    n = c.shape[1]
    few = features.pattern_probability(np.vstack([np.zeros((1, n), dtype=bool), np.eye(n, dtype=bool)]))
    idle, single = float(few[0]), few[1:]
    H = np.empty((len(c), n + 1, n + 1))
    for i in np.unique(own).tolist():
        mine = np.flatnonzero(own == i)
        H[mine] = _several_active(c[mine], b[mine], i, features, idle, single, nodes)
        order = np.arange(n)
        order[[0, i]] = order[[i, 0]]  # the own feature first
        one = limit_curvatures(c[np.ix_(mine, order)], b[mine])[:, order] * single[:, None, None]
        H[mine] += _joined(one[..., 0, 0], one[..., 0, 1], one[..., 1, 1].sum(-1))
    mean, square = features.mean - single / 2, features.second_moment - np.diag(single / 3)
    H[:, :n, :n] += square
    H += _joined(np.zeros(n), mean, 1 - idle - single.sum())
    H[:, n, n] += 2 * idle * (b > 0)
    return H


def _joined(square: ndarray, mixed: ndarray, bias: ndarray | float) -> Float[ndarray, "*r k k"]:
    """A diagonal in the couplings, what they share with the bias, and the bias's own."""
    n = mixed.shape[-1]
    H = np.zeros((*mixed.shape[:-1], n + 1, n + 1))
    H[..., np.arange(n), np.arange(n)] = square
    H[..., :n, n] = H[..., n, :n] = mixed
    H[..., n, n] = bias
    return H


def _several_active(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    own: int,
    features: FeatureDistribution,
    idle: float,
    single: Float[ndarray, " n"],
    nodes: int,
) -> Float[ndarray, "r k k"]:
    """The terms with sgn z and delta(z), with two or more features active, for outputs of one feature."""
    n, k = c.shape[1], np.arange(nodes) + 0.5
    h = 2 * np.pi / (MARGIN * np.maximum(np.abs(b) + np.abs(c).sum(-1), 1e-8))
    t = k * h[:, None]
    e, e1, e2 = UNIFORM.transforms(t[..., None] * c[:, None, :], 2)
    first, second, third = -1j * e1, -e2, 1j * UNIFORM.transform(t * c[:, own, None], 3)
    phase = 2 / np.pi * h[:, None] * np.exp(1j * t * b[:, None] - TAPER * (k / nodes) ** ORDER)
    sign, delta = -1j * phase / t, -phase

    factors, tilted = zip(*(_factor(features, s, e, own) for s in range(len(features.sets))), strict=True)
    H = _pairs(factors, sign, first, second)
    with_own = _pairs(tilted, delta * first[..., own], first, second)
    # The own feature occurs twice in z_a z_b x_0, or three times.
    weight = delta * second[..., own]
    twice = _pairs(tilted, weight, first, second)[:, n]
    thrice = _pairs(tilted, delta * third, first, second)[:, n, n]
    with_own[:, own] = with_own[:, :, own] = twice
    with_own[:, own, n] = with_own[:, n, own] = twice[:, n]
    with_own[:, own, own] = thrice
    H += with_own

    # Less what the same nodes say of no and of one active feature.
    square = single * (sign[..., None] * second).real.sum(1)
    mixed = single * (sign[..., None] * first).real.sum(1)
    square[:, own] += single[own] * (delta * third).real.sum(1)
    mixed[:, own] += single[own] * weight.real.sum(1)
    bias = (sign * (idle + e @ single) + single[own] * delta * first[..., own]).real.sum(1)
    return np.asarray(H - _joined(square, mixed, bias))


@dataclass(frozen=True, eq=False)
class _Factor:
    """A polynomial in the transforms of some features, with its derivatives at all nodes; affine in each."""

    members: tuple[int, ...]
    value: Complex[ndarray, "r node"]
    slopes: Complex[ndarray, "r node member"]
    curvatures: Complex[ndarray, "member r node member"]


def _factor(
    features: FeatureDistribution, s: int, e: Complex[ndarray, "r node n"], own: int
) -> tuple[_Factor, _Factor]:
    """Give the polynomial of a set at all nodes, and what becomes of it in the derivative of the product in e_own."""
    members, p = features.sets[s], float(features.density[s])
    law, mine = features.laws[s].at(float(features.density[s])), e[..., list(members)]

    def slopes(e: ndarray, *before: int) -> ndarray:
        """Give the derivatives that follow those in some transforms: differences, none in a transform twice."""
        if not before:
            return np.asarray(p * law.slopes(e))
        upper, lower = e.copy(), e.copy()
        upper[..., before[0]], lower[..., before[0]] = 1.0, 0.0
        change = slopes(upper, *before[1:]) - slopes(lower, *before[1:])
        change[..., before[0]] = 0.0
        return np.asarray(change)

    places = range(len(members))
    curvatures = np.array([slopes(mine, j) for j in places])
    whole = _Factor(members, 1 - p + p * law.generating(mine), slopes(mine), curvatures)
    if own not in members:
        return whole, whole
    i = members.index(own)
    bends = np.array([slopes(mine, i, j) * (i != j) for j in places])
    return whole, _Factor(members, whole.slopes[..., i], curvatures[i], bends)


def _pairs(
    factors: Sequence[_Factor],
    weight: Complex[ndarray, "r node"],
    first: Complex[ndarray, "r node n"],
    second: Complex[ndarray, "r node n"],
) -> Float[ndarray, "r k k"]:
    """Sum z_a z_b exp(itz) over nodes, for a product of polynomials."""
    w, slope = weight, np.empty_like(first)
    safe = [np.where(np.abs(f.value) < _ZERO, _ZERO, f.value) for f in factors]
    for f, value in zip(factors, safe, strict=True):
        w = w * value
        slope[..., list(f.members)] = f.slopes / value[..., None]
    u = first * slope
    mixed = (w[:, None, :] @ u)[:, 0].real
    H = _joined(np.zeros_like(mixed), mixed, w.real.sum(1))
    n = u.shape[-1]
    H[:, :n, :n] = (u.swapaxes(1, 2) @ (w[..., None] * u)).real
    for f, value in zip(factors, safe, strict=True):
        for i, j in combinations(range(len(f.members)), 2):
            a, b = f.members[i], f.members[j]
            joint = f.curvatures[i][..., j] / value - slope[..., a] * slope[..., b]
            H[:, a, b] += (w * first[..., a] * first[..., b] * joint).real.sum(1)
            H[:, b, a] = H[:, a, b]
    H[:, np.arange(n), np.arange(n)] = (w[:, None, :] @ (slope * second))[:, 0].real
    return H
