"""Second derivatives of an output's squared error, at about the price of the error itself.

An output reads z = b + sum_j c_j x_j, own feature x_0, independent features with values uniform on [0, 1]. With
z_a = dz / d(parameter), that is x_j for a coupling and 1 for the bias, its error has the second derivatives

    E (1 + sgn z) z_a z_b - 2 E x_0 delta(z) z_a z_b .

As in theory.loss.quadrature, no or one active feature is treated in closed form, and the midpoint rule gives the rest
from the characteristic function phi(t) = E exp(itz). With L_j = d log phi / d(t c_j), and i in place of L_j for the
bias,

    E z_a z_b exp(itz) = - phi L_a L_b ,    E x_0 z_a z_b exp(itz) = i phi L_0 L_a L_b

where the features differ, so that the sum over nodes is a product of matrices. These sums end two powers of t earlier
than those of the error: a few digits, which is what Newton's method on an accurate gradient can use.
"""

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from theory.model.values import UNIFORM

__all__ = ["MARGIN", "ORDER", "TAPER", "limit_curvatures", "output_curvatures"]

# Nodes of the midpoint rule: second derivatives to about 1e-3 of the part with several active features.
_NODES = 128
# Where couplings are small, phi hardly decays: a smooth end of the sums stands for delta(z) and sgn z a little blurred.
TAPER, ORDER = 8.0, 4
# The nodes' step repeats delta(z) at this multiple of the largest |z|, at a distance from all of them.
MARGIN = 1.3
# Exponents in Chernoff's inequality, in units of one over the standard deviation of z.
_EXPONENTS = np.geomspace(0.05, 50, 24)


def limit_curvatures(c: Float[ndarray, "r n"], b: Float[ndarray, " r"]) -> Float[ndarray, "r n k k"]:
    """
    Give the second derivatives of outputs' errors when one given feature is active.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.

    Returns
    -------
    ndarray, shape (r, n, 2, 2)
        For every feature that may be the active one: in its coupling and the bias. Couplings of other features do not
        matter. Where z vanishes for all values it counts as not positive.
    """
    zero, rising = UNIFORM.sign_change(c, b[:, None])
    sign = np.where(rising, 1.0, -1.0)  # z > 0 from the zero up to 1, or from 0 up to the zero
    moments = [2 * (rising - sign * zero ** (k + 1)) / (k + 1) for k in range(3)]
    # The own error u - ReLU(z) has a kink of slope where z passes 0, and is u there.
    own = zero[:, 0]
    passes = (own > 0) & (own < 1)
    density = np.where(passes, 2 / np.where(passes, np.abs(c[:, 0]), 1.0), 0.0)
    for k in range(3):
        moments[k][:, 0] -= density * own ** (k + 1)
    return np.stack([np.stack([moments[2], moments[1]], -1), np.stack([moments[1], moments[0]], -1)], -2)


def output_curvatures(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    density: Float[ndarray, "r n"],
    nodes: int = _NODES,
    outside: float = 0.0,
) -> Float[ndarray, "r k k"]:
    """
    Give the second derivatives of outputs' expected squared errors.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    density : ndarray, shape (r, n)
        Probability that each feature is active, in (0, 1]; values are uniform on [0, 1].
    nodes : int
        Nodes of the midpoint rule.
    outside : float
        Part of the patterns with several active features for which |z| may lie outside the window of the nodes, in
        [0, 1): they resolve more of the others where features are many and few of them active. By default none.

    Returns
    -------
    ndarray, shape (r, n + 1, n + 1)
        In the couplings, then the bias. Where a second derivative jumps, the one on the side of z <= 0.
    """
    n, own = c.shape[1], np.arange(c.shape[1])
    others = np.where(np.eye(n, dtype=bool), 1.0, 1 - density[:, None, :]).prod(-1)
    idle, single = (1 - density).prod(-1), density * others
    largest = np.abs(b) + np.abs(c).sum(-1)
    if outside:
        several = np.maximum(1 - idle - single.sum(-1), 1e-12)
        largest = np.minimum(largest, _reach(c, b, density, outside * several))
    H = _several_active(c, b, density, idle, single, largest, nodes)

    mean, square = (density - single) / 2, (density - single) / 3
    H[:, :n, :n] += density[:, :, None] * density[:, None, :] / 4
    H[:, own, own] += square - density**2 / 4
    H[:, :n, n] += mean
    H[:, n, :n] += mean
    H[:, n, n] += 1 - idle - single.sum(-1) + 2 * idle * (b > 0)

    one = limit_curvatures(c, b) * single[..., None, None]
    H[:, own, own] += one[..., 0, 0]
    H[:, :n, n] += one[..., 0, 1]
    H[:, n, :n] += one[..., 0, 1]
    H[:, n, n] += one[..., 1, 1].sum(-1)
    return H


def _reach(
    c: Float[ndarray, "r n"], b: Float[ndarray, " r"], density: Float[ndarray, "r n"], chance: Float[ndarray, " r"]
) -> Float[ndarray, " r"]:
    """What |z| exceeds with less than that chance, by Chernoff's inequality, for either sign."""
    spread = np.sqrt((c**2 * density / 3).sum(-1)) + 1e-8
    with np.errstate(divide="ignore"):
        idle, active = np.log1p(-density), np.log(density)
    reach = np.full(len(b), np.inf)
    for s in _EXPONENTS:
        rate = s / spread
        log = np.maximum(
            *(
                np.logaddexp(idle, active + UNIFORM.log_mgf(tilt[:, None] * c)).sum(-1) + tilt * b
                for tilt in (rate, -rate)
            )
        )
        reach = np.minimum(reach, (log - np.log(chance / 2)) / rate)
    return np.asarray(np.maximum(reach, 0.0))


def _several_active(
    c: Float[ndarray, "r n"],
    b: Float[ndarray, " r"],
    density: Float[ndarray, "r n"],
    idle: Float[ndarray, " r"],
    single: Float[ndarray, "r n"],
    largest: Float[ndarray, " r"],
    nodes: int,
) -> Float[ndarray, "r k k"]:
    """The terms with sgn z and delta(z), with two or more features active and |z| up to the largest."""
    rows, n = c.shape
    h = 2 * np.pi / (MARGIN * np.maximum(largest, 1e-8))
    t = (np.arange(nodes) + 0.5) * h[:, None]
    a = t[..., None] * c[:, None, :]
    e, e1, e2 = UNIFORM.transforms(a, 2)
    e3 = UNIFORM.transform(a[..., 0], 3)
    psi = 1 + density[:, None, :] * (e - 1)
    ratio = density[:, None, :] / np.where(psi == 0, 1e-200, psi)
    taper = np.exp(-TAPER * ((np.arange(nodes) + 0.5) / nodes) ** ORDER)
    phase = 2j / np.pi * h[:, None] * taper * np.exp(1j * t * b[:, None])
    phi = phase * psi.prod(-1)

    L = np.concatenate([e1 * ratio, np.full((rows, nodes, 1), 1j)], -1)
    weight = phi * (1 / t - L[..., 0])
    H = np.ascontiguousarray((L.swapaxes(1, 2) @ (weight[..., None] * L)).real)
    own = np.arange(n)
    H[:, own, own] = _node_sum(weight, e2 * ratio)
    second = e2[..., 0] * ratio[..., 0]
    H[:, 0, 1:] = H[:, 1:, 0] = _node_sum(phi * (L[..., 0] / t - second), L[..., 1:])
    H[:, 0, 0] = (phi * (second / t - e3 * ratio[..., 0])).real.sum(1)

    # Less what the same nodes say of no and of one active feature.
    mine = phase * single[:, :1]
    slopes, curves = single * _node_sum(1j * phase / t, e1), single * _node_sum(phase / t, e2)
    slopes[:, 0] -= (1j * mine * e2[..., 0]).real.sum(1)
    curves[:, 0] -= (mine * e3).real.sum(1)
    H[:, :n, n] -= slopes
    H[:, n, :n] -= slopes
    H[:, own, own] -= curves
    few = idle[:, None] + (single[:, None, :] * e).sum(-1)
    H[:, n, n] += (phase * few / t - mine * e1[..., 0]).real.sum(1)
    return H


def _node_sum(weight: Complex[ndarray, "r node"], values: Complex[ndarray, "r node k"]) -> Float[ndarray, "r k"]:
    """Real part of the sum over nodes of weight times values."""
    return np.asarray((weight[:, None, :] @ values)[:, 0].real)
