"""Expected squared errors by the number of active features, for more features than active sets can be enumerated for.

Let a formal variable s count active features. A set of features that is active with probability p, and then brings v
active features and an amount y to z = b + sum_j g_j x_j, contributes the factor

    (1 - p) + s^v p E[exp(ity) | active]

to the characteristic function of z, and its moments likewise. Multiplied out, the coefficient of s^k is what k active
features contribute, and the formulas of theory.loss.quadrature hold coefficient by coefficient: with ReLU z = (z +
|z|)/2,

    E[(x - ReLU z)^2; k] = E[x^2; k] - E[x z; k] - E[x |z|; k] + (E[z^2; k] + E[z |z|; k]) / 2 .

No or one active feature has a closed form; it is left out of the sums, which makes them decay faster.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from theory.loss.characteristic import value_transform
from theory.model.features import Anticorrelated, FeatureDistribution

__all__ = ["errors_by_count"]

_FIRST_NODES, _MAX_NODES = 64, 8192
_RTOL = 1e-9
# The midpoint rule is exact for steps below 2 pi / max |z|: smaller by this factor.
_MARGIN = 1.05
# Numbers of active features beyond which less than this probability lies are left out: far below rounding.
_NEGLIGIBLE = 1e-20
# Complex numbers held at once: outputs, nodes and counts.
_BLOCK_ELEMENTS = 200_000


def errors_by_count(
    G: Float[ndarray, "n n"], b: Float[ndarray, " n"], features: FeatureDistribution, linear: bool = False
) -> Float[ndarray, "n counts"]:
    """
    Compute E[(x_i - x'_i)^2; k features active] for every output i and number k >= 2.

    Parameters
    ----------
    G : ndarray, shape (n, n)
        Couplings W^T W.
    b : ndarray, shape (n,)
        Output biases.
    features : FeatureDistribution
        A single distribution of n features.
    linear : bool
        Whether the output is z itself instead of ReLU z.

    Returns
    -------
    ndarray, shape (n, n + 1)
        Column k: the part of the error in which exactly k features are active; columns 0 and 1 are zero.
    """
    counts = _largest_count(features) + 1
    moments = [_without_few(part) for part in _moments(G, b, features, counts)]
    mass_x, mean_z, x_x, x_z, z_z = moments
    if linear:
        errors = x_x - 2 * x_z + z_z
    else:
        step = 2 * np.pi / np.maximum(np.abs(b) + np.abs(G).sum(1), 1e-8) / _MARGIN
        errors = x_x - x_z + z_z / 2 + np.pi / step[:, None] * (mean_z - mass_x)
        block = max(1, _BLOCK_ELEMENTS // (_FIRST_NODES * counts))
        for first in range(0, len(b), block):
            some = np.arange(first, min(first + block, len(b)))
            errors[some] += _oscillating(G, b, features, step[some], some, counts)
    return np.pad(errors, ((0, 0), (0, features.n + 1 - counts)))


def _without_few(part: Float[ndarray, "n counts"]) -> Float[ndarray, "n counts"]:
    part[:, :2] = 0.0
    return part


def _largest_count(features: FeatureDistribution) -> int:
    """Number of active features that is exceeded with negligible probability."""
    probability = np.zeros(features.n + 1)
    probability[0] = 1.0
    for s in range(len(features.sets)):
        p, v = float(features.density[s]), _size(features, s)
        probability = _times(probability, 1 - p, v, np.asarray(p))
    return max(int(np.flatnonzero(np.cumsum(probability[::-1])[::-1] > _NEGLIGIBLE).max()), 2)


def _size(features: FeatureDistribution, s: int) -> int:
    """How many features are active when a set is."""
    return 1 if isinstance(features, Anticorrelated) else len(features.sets[s])


def _times(polynomial: ndarray, inactive: ndarray | float, v: int, active: ndarray) -> ndarray:
    """Multiply polynomials in the counting variable (last axis) by inactive + active s^v."""
    product = np.asarray(inactive)[..., None] * polynomial
    product[..., v:] += active[..., None] * polynomial[..., : polynomial.shape[-1] - v]
    return product


def _moments(
    G: Float[ndarray, "n n"], b: Float[ndarray, " n"], features: FeatureDistribution, counts: int
) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
    """E[x_i; k], E[z_i; k], E[x_i^2; k], E[x_i z_i; k] and E[z_i^2; k], each of shape (n, counts)."""
    n, mean, square = len(b), features.value_mean, features.value_square
    others = np.zeros((3, n, counts))  # E[1; k], E[y; k], E[y^2; k] of the sets that an output does not belong to
    others[0, :, 0] = 1.0
    everything = others.copy()
    own = np.zeros((3, n))  # E x_i, E[x_i y], E x_i^2 given that the set of i is active; y is the set's share of z
    owner, sizes = features.set_of_feature, np.array([_size(features, s) for s in range(len(features.sets))])
    for s, members in enumerate(features.sets):
        p, v, g = float(features.density[s]), int(sizes[s]), G[:, list(members)]
        if isinstance(features, Anticorrelated):
            y, y_y, chance = g.mean(1) * mean, (g**2).mean(1) * square, 1 / len(members)
            with_own = g * square * chance
        else:
            y, chance = g.sum(1) * mean, 1.0
            y_y = y**2 + (g**2).sum(1) * (square - mean**2)
            with_own = mean * y[:, None] + g * (square - mean**2)
        inside = list(members)
        own[0, inside], own[2, inside] = mean * chance, square * chance
        own[1, inside] = with_own[inside, range(len(inside))]
        outside = owner != s
        everything = _add_set(everything, p, v, y, y_y, np.ones(n, dtype=bool))
        others = _add_set(others, p, v, y, y_y, outside)
    shifted = [_shifted(part, sizes[owner]) for part in others]
    p_own = features.density[owner][:, None]
    x, x_x = p_own * own[0, :, None] * shifted[0], p_own * own[2, :, None] * shifted[0]
    x_y = p_own * (own[1, :, None] * shifted[0] + own[0, :, None] * shifted[1])
    bias = b[:, None]
    mass, y, y_y = everything
    return x, bias * mass + y, x_x, x_y + bias * x, y_y + 2 * bias * y + bias**2 * mass


def _shifted(part: Float[ndarray, "n counts"], by: Int[ndarray, " n"]) -> Float[ndarray, "n counts"]:
    """Multiply row i, a polynomial in s, by s^by[i]."""
    result = np.zeros_like(part)
    for v in np.unique(by).tolist():
        result[by == v, v:] = part[by == v, : part.shape[1] - v]
    return result


def _add_set(
    parts: Float[ndarray, "3 n counts"], p: float, v: int, y: ndarray, y_y: ndarray, included: ndarray
) -> Float[ndarray, "3 n counts"]:
    """Add an independent set's share to E[1; k], E[y; k] and E[y^2; k] of the included outputs."""
    active = p * included
    mass, first, second = (_times(part, 1 - active, v, active) for part in parts)
    nothing = np.zeros_like(active)
    first += _times(parts[0], nothing, v, active * y)
    second += _times(parts[1], nothing, v, 2 * active * y) + _times(parts[0], nothing, v, active * y_y)
    return np.stack([mass, first, second])


def _oscillating(
    G: Float[ndarray, "n n"],
    b: Float[ndarray, " n"],
    features: FeatureDistribution,
    step: Float[ndarray, " some"],
    some: Int[ndarray, " some"],
    counts: int,
) -> Float[ndarray, "some counts"]:
    """Sums over nodes, doubled until no count's part changes any more."""
    total = np.zeros((len(some), counts))
    start, stop = 0, _FIRST_NODES
    while True:
        added = np.zeros_like(total)
        for first in range(start, stop, _FIRST_NODES):
            t = (np.arange(first, first + _FIRST_NODES) + 0.5) * step[:, None]
            phi, phi_x = _counted_transforms(t, G[some], b[some], features, some, counts)
            weight, weight_x = 2j / np.pi * step[:, None] / t**3, 2 / np.pi * step[:, None] / t**2
            added += (weight[..., None] * phi + weight_x[..., None] * phi_x).real.sum(1)
        total += added
        change = np.abs(added[:, 2:]).max(initial=0.0)
        if (start and change <= _RTOL * np.abs(total[:, 2:]).max(initial=1e-300)) or stop >= _MAX_NODES:
            total[:, :2] = 0.0
            return total
        start, stop = stop, 2 * stop


def _counted_transforms(
    t: Float[ndarray, "some nodes"],
    G: Float[ndarray, "some n"],
    b: Float[ndarray, " some"],
    features: FeatureDistribution,
    some: Int[ndarray, " some"],
    counts: int,
) -> tuple[Complex[ndarray, "some nodes counts"], Complex[ndarray, "some nodes counts"]]:
    """E[exp(itz); k] and E[x_i exp(itz); k]."""
    value, slope = value_transform(t[..., None] * G[:, None, :], features.values)
    together: Callable[..., ndarray] = np.mean if isinstance(features, Anticorrelated) else np.prod
    phi = np.zeros((*t.shape, counts), dtype=complex)
    phi[..., 0] = np.exp(1j * t * b[:, None])
    phi_x = phi.copy()
    for s, members in enumerate(features.sets):
        p, v, inside = float(features.density[s]), _size(features, s), list(members)
        active = together(value[..., inside], axis=-1)
        phi = _times(phi, 1 - p, v, p * active)
        with_x, inactive = active.copy(), np.full(t.shape, 1 - p)
        for row in np.flatnonzero(np.isin(some, inside)):
            own, rest = some[row], [j for j in inside if j != some[row]]
            with_x[row] = -1j * slope[row, :, own]
            with_x[row] *= 1 / len(inside) if together is np.mean else np.prod(value[row][:, rest], axis=-1)
            inactive[row] = 0.0
        phi_x = _times(phi_x, inactive, v, p * with_x)
    return phi, phi_x
