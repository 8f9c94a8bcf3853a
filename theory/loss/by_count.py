"""Expected squared errors by the number of active features, for more features than active sets can be enumerated for.

Let a formal variable s count active features. A set of features that is active with probability p, and then with
probability q_A exactly its members A, contributes the factor

    (1 - p) + p sum_A q_A s^|A| E[exp(ity) | A] ,   y its share of z = b + sum_j g_j x_j ,

to the characteristic function of z, and its moments likewise. Multiplied out, the coefficient of s^k is what k active
features contribute, and the formulas of theory.loss.quadrature hold coefficient by coefficient: an activation weighs
E[x z; k], E[x |z|; k], E[z^2; k] and E[z |z|; k] as it weighs their sums (theory.model.activations).

No or one active feature has a closed form; it is left out of the sums, which makes them decay faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int
from numpy import ndarray

from theory.loss.quadrature import reach
from theory.model.activations import RELU, Activation
from theory.model.features import FeatureDistribution

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
    G: Float[ndarray, "n n"], b: Float[ndarray, " n"], features: FeatureDistribution, activation: Activation = RELU
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
    activation : Activation
        The output activation, of at most two straight pieces that meet at 0.

    Returns
    -------
    ndarray, shape (n, n + 1)
        Column k: the part of the error in which exactly k features are active; columns 0 and 1 are zero.
    """
    sets = [_Patterns(members, law.patterns(len(members))) for members, law in features.groups]
    counts = _largest_count(features, sets) + 1
    mass_x, mean_z, x_x, x_z, z_z = (_without_few(part) for part in _moments(G, b, features, sets, counts))
    weight_xz, weight_zz, weight_x, weight_z = activation.weights
    errors = x_x + weight_xz * x_z + weight_zz * z_z
    if activation.kinks:
        step = 2 * np.pi / np.maximum(reach(G, b, features), 1e-8) / _MARGIN
        # The closed halves of E |z| (pi/h times the mean) stand with the moments, the rest are sums over nodes.
        errors += np.pi / step[:, None] * (2 * weight_z * mean_z + weight_x * mass_x)
        block = max(1, _BLOCK_ELEMENTS // (_FIRST_NODES * counts))
        for first in range(0, len(b), block):
            some = np.arange(first, min(first + block, len(b)))
            errors[some] += _oscillating(G, b, features, sets, step[some], some, counts, (weight_x, weight_z))
    return np.pad(errors, ((0, 0), (0, features.n + 1 - counts)))


@dataclass(frozen=True, eq=False)
class _Patterns:
    """A set's members, and its patterns: which members are active, and with what probability."""

    members: tuple[int, ...]
    patterns: tuple[tuple[ndarray, float], ...]


def _without_few(part: Float[ndarray, "n counts"]) -> Float[ndarray, "n counts"]:
    part[:, :2] = 0.0
    return part


def _largest_count(features: FeatureDistribution, sets: list[_Patterns]) -> int:
    """Number of active features that is exceeded with negligible probability."""
    probability = np.zeros(features.n + 1)
    probability[0] = 1.0
    for p, one in zip(features.density.tolist(), sets, strict=True):
        terms = [(len(active), p * q) for active, q in one.patterns]
        probability = _times(probability, [(0, 1 - p), *terms])
    return max(int(np.flatnonzero(np.cumsum(probability[::-1])[::-1] > _NEGLIGIBLE).max()), 2)


def _times(polynomial: ndarray, terms: Sequence[tuple[int, ndarray | float]]) -> ndarray:
    """Multiply polynomials in the counting variable (last axis) by a sum of coefficients times s^v."""
    product = np.zeros_like(polynomial)
    counts = polynomial.shape[-1]
    for v, coefficient in terms:
        if v < counts:
            product[..., v:] += np.asarray(coefficient)[..., None] * polynomial[..., : counts - v]
    return product


def _moments(
    G: Float[ndarray, "n n"], b: Float[ndarray, " n"], features: FeatureDistribution, sets: list[_Patterns], counts: int
) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
    """E[x_i; k], E[z_i; k], E[x_i^2; k], E[x_i z_i; k] and E[z_i^2; k], each of shape (n, counts)."""
    n, mean, square = len(b), features.value_mean, features.value_square
    # E[1; k], E[y; k], E[y^2; k] of what the sets bring: of those an output does not belong to, of all, and of all with
    # the own feature's value or its square as a factor.
    plain = np.zeros((3, n, counts))
    plain[0, :, 0] = 1.0
    everything, with_x, with_xx = plain.copy(), plain.copy(), plain.copy()
    for p, one in zip(features.density.tolist(), sets, strict=True):
        inside = list(one.members)
        terms, own_terms, square_terms = [(0, (1 - p) * np.array([1.0, 0.0, 0.0])[:, None] * np.ones(n))], [], []
        for active, q in one.patterns:
            g = G[:, [inside[j] for j in active]]
            y, spread = g.sum(1) * mean, (g**2).sum(1) * (square - mean**2)
            terms.append((len(active), p * q * np.stack([np.ones(n), y, y**2 + spread])))
            has_own = np.isin(np.arange(n), [inside[j] for j in active])
            x_y = mean * y + np.diag(G) * (square - mean**2)
            own_terms.append((len(active), p * q * has_own * np.stack([np.full(n, mean), x_y, np.zeros(n)])))
            square_terms.append(
                (len(active), p * q * has_own * np.stack([np.full(n, square), np.zeros(n), np.zeros(n)]))
            )
        everything = _join(everything, terms)
        outside = ~np.isin(np.arange(n), inside)
        for product, own in ((with_x, own_terms), (with_xx, square_terms)):
            product[:, outside] = _join(product[:, outside], [(v, c[:, outside]) for v, c in terms])
            product[:, ~outside] = _join(product[:, ~outside], [(v, c[:, ~outside]) for v, c in own])
    bias = b[:, None]
    mass, y, y_y = everything
    return with_x[0], bias * mass + y, with_xx[0], with_x[1] + bias * with_x[0], y_y + 2 * bias * y + bias**2 * mass


def _join(
    parts: Float[ndarray, "3 rows counts"], terms: Sequence[tuple[int, Float[ndarray, "3 rows"]]]
) -> Float[ndarray, "3 rows counts"]:
    """Join an independent set's E[1; k], E[y; k], E[y^2; k], given as terms, to those of the sets before."""
    zeroth, first, second = ([(v, c[k]) for v, c in terms] for k in range(3))
    return np.stack(
        [
            _times(parts[0], zeroth),
            _times(parts[1], zeroth) + _times(parts[0], first),
            _times(parts[2], zeroth) + 2 * _times(parts[1], first) + _times(parts[0], second),
        ]
    )


def _oscillating(
    G: Float[ndarray, "n n"],
    b: Float[ndarray, " n"],
    features: FeatureDistribution,
    sets: list[_Patterns],
    step: Float[ndarray, " some"],
    some: Int[ndarray, " some"],
    counts: int,
    weights: tuple[float, float],
) -> Float[ndarray, "some counts"]:
    """Sums over nodes, doubled until no count's part changes any more."""
    total = np.zeros((len(some), counts))
    start, stop = 0, _FIRST_NODES
    h = step[:, None]
    while True:
        added = np.zeros_like(total)
        for first in range(start, stop, _FIRST_NODES):
            t = (np.arange(first, first + _FIRST_NODES) + 0.5) * h
            phi, phi_x = _counted_transforms(t, G[some], b[some], features, sets, some, counts)
            # E z|z| = 4/pi Int Re(i phi) / t^3 and E x|z| = - 2/pi Int Re(phi_x) / t^2, up to the closed halves.
            factor, factor_x = weights[1] * 4j / np.pi * h / t**3, -weights[0] * 2 / np.pi * h / t**2
            added += (factor[..., None] * phi + factor_x[..., None] * phi_x).real.sum(1)
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
    sets: list[_Patterns],
    some: Int[ndarray, " some"],
    counts: int,
) -> tuple[Complex[ndarray, "some nodes counts"], Complex[ndarray, "some nodes counts"]]:
    """E[exp(itz); k] and E[x_i exp(itz); k]."""
    value, slope = features.values.transforms(t[..., None] * G[:, None, :], 1)
    phi = np.zeros((*t.shape, counts), dtype=complex)
    phi[..., 0] = np.exp(1j * t * b[:, None])
    phi_x = phi.copy()
    for p, one in zip(features.density.tolist(), sets, strict=True):
        terms: list[tuple[int, ndarray | float]] = [(0, 1 - p)]
        own_terms: list[tuple[int, ndarray | float]] = []
        rows = np.flatnonzero(np.isin(some, one.members))
        for active, q in one.patterns:
            columns = [one.members[j] for j in active]
            factors = value[..., columns]
            terms.append((len(active), p * q * factors.prod(-1)))
            brought = np.zeros(t.shape, dtype=complex)
            for row in rows.tolist():
                if some[row] in columns:
                    others = [j for j in columns if j != some[row]]
                    brought[row] = -1j * slope[row, :, some[row]] * value[row][:, others].prod(-1)
            own_terms.append((len(active), p * q * brought))
        with_x = _times(phi_x, terms)
        if len(rows):
            with_x[rows] = _times(phi_x[rows], [(v, np.asarray(c)[rows]) for v, c in own_terms])
        phi, phi_x = _times(phi, terms), with_x
    return phi, phi_x
