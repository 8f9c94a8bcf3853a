"""The exact loss of a polytope of equal features from one output per orbit.

Vertices of an orbit have equal errors, so that one of them stands for all: a v-gon costs a v-th of what
``population_loss`` spends on it. Few features are enumerated (theory.enumeration); for more, the
characteristic function is summed over the midpoint rule's nodes as in theory.quadrature, whose notation this
follows.
"""

import warnings

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.characteristic import characteristic_function
from theory.enumeration import MAX_FEATURES, active_patterns, expected_squared_error
from theory.features import Independent
from theory.one_active import interference, own_error
from theory.polytopes import Polytope

__all__ = ["orbit_loss_and_gradient", "output_error"]

# Relative accuracy of an output's error; nodes are doubled until the last doubling changed less. Where couplings are
# small but not tiny the nodes run out before; the result is then good to the accuracy below, or there is a warning.
_ACCURACY, _ACCEPTABLE = 1e-9, 1e-6
_FIRST_NODES, _MANY_NODES, _MOST_NODES = 256, 2**11, 2**14
# Up to so many features enumeration is quicker than so many nodes.
_ENUMERABLE = 10
# Beside couplings 1/_HARDLY times as large, a feature's own fluctuations change the error by less than 1e-12 p; but
# the nodes would have to reach 1/_HARDLY times as far.
_HARDLY = 1e-6

Gradient = tuple[float, Float[ndarray, " n"], float]


def orbit_loss_and_gradient(
    polytope: Polytope, density: float, W: Float[ndarray, "d v"], b: Float[ndarray, " v"]
) -> tuple[float, Float[ndarray, "d v"], Float[ndarray, " v"]]:
    """
    Give the population loss of a polytope whose features have equal density and importance 1.

    Parameters
    ----------
    polytope : Polytope
        Says which vertices are exchanged by symmetry; W and b must have that symmetry.
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1]; values are uniform on [0, 1].
    W : ndarray, shape (d, v)
        Embedding.
    b : ndarray, shape (v,)
        Output biases.

    Returns
    -------
    loss : float
        E sum_i (x_i - x'_i)^2 over the polytope's features.
    dW, db : ndarray
        Gradients of the sum over orbits of (size times the error of one output). Along symmetric directions
        they agree with those of the loss; other directions mean nothing.
    """
    G = W.T @ W
    loss, A, db = 0.0, np.zeros_like(G), np.zeros_like(b)
    for orbit in range(max(polytope.orbits) + 1):
        output, size = polytope.orbits.index(orbit), polytope.orbits.count(orbit)
        order = np.r_[output, np.delete(np.arange(len(b)), output)]
        value, dc, slope = output_error(G[output, order], float(b[output]), density)
        loss += size * value
        A[output, order] = size * dc
        db[output] = size * slope
    return loss, W @ (A + A.T), db


def output_error(c: Float[ndarray, " n"], b: float, density: float) -> Gradient:
    """
    Give the expected squared error of one output among n features of equal density.

    Parameters
    ----------
    c : ndarray, shape (n,)
        Couplings of the output, its own feature first.
    b : float
        Its bias.
    density : float
        Probability that a feature is active, in (0, 1]; values are uniform on [0, 1].

    Returns
    -------
    value : float
        E (x_0 - ReLU(c . x + b))^2.
    dc : ndarray, shape (n,)
        Its gradient in the couplings.
    db : float
        Its derivative in the bias.

    Warns
    -----
    RuntimeWarning
        If the nodes run out before the accuracy is reached.
    """
    touching = np.abs(c) > _HARDLY * np.abs(c).max()
    touching[0] = True
    if not touching.all():
        # The others act as a bias, their mean: E f(b + c_j x_j) = f(b + c_j p/2) + O(c_j^2 p).
        value, slope, db = output_error(c[touching], b + density / 2 * float(c[~touching].sum()), density)
        dc = np.full(len(c), density / 2 * db)
        dc[touching] = slope
        return value, dc, db
    return _enumerated(c, b, density) if len(c) <= MAX_FEATURES["uniform"] else _integrated(c, b, density)


def _enumerated(c: Float[ndarray, " n"], b: float, p: float) -> Gradient:
    """Sum over all sets of active features."""
    active = active_patterns(len(c)).sum(1)
    weight = p**active * (1 - p) ** (len(c) - active)
    values, dcs, dbs = expected_squared_error(c[None], np.array([b]), weight[None], "uniform")
    return float(values[0]), dcs[0], float(dbs[0])


def _integrated(c: Float[ndarray, " n"], b: float, p: float) -> Gradient:
    """Closed part plus nodes, doubled until they suffice."""
    # Rounded up, so that the step is locally constant and the gradient that of the discretised loss.
    reach = 2.0 ** (np.ceil(4 * np.log2(abs(b) + np.abs(c).sum())) / 4)
    h = 2 * np.pi / reach
    value, dc, db = _closed(c, b, p, h)
    start, stop = 0, _FIRST_NODES
    while True:
        more, more_dc, more_db = _nodes(c, b, p, (np.arange(start, stop) + 0.5) * h, h)
        value, dc, db = value + more, dc + more_dc, db + more_db
        if start and abs(more) <= _ACCURACY * value:
            return max(value, 0.0), dc, db
        if stop >= _MANY_NODES and len(c) <= _ENUMERABLE:
            return _enumerated(c, b, p)
        if stop >= _MOST_NODES:
            if abs(more) > _ACCEPTABLE * value:
                message = f"an output's error is {value:.6e}, and the last nodes changed it by {abs(more):.1e}"
                warnings.warn(message, RuntimeWarning, stacklevel=2)
            return max(value, 0.0), dc, db
        start, stop = stop, 2 * stop


def _few(n: int, p: float) -> tuple[float, float]:
    """Probabilities that no feature is active, and that only a given one is."""
    return (1 - p) ** n, p * (1 - p) ** (n - 1)


def _closed(c: Float[ndarray, " n"], b: float, p: float, h: float) -> Gradient:
    """Zero or one active feature, and the polynomial moments of the rest."""
    n = len(c)
    none, single = _few(n, p)
    bias = np.full(n, b)
    errors, dc, slopes = interference(c, bias)
    errors[:1], dc[:1], slopes[:1] = own_error(c[:1], bias[:1])
    mass, mean = 1 - none - n * single, (p - single) / 2
    square = (p - single) / 3  # E x_j^2, and E x_i x_j = p^2/4, over two or more active features
    moment_c = square * c + p**2 / 4 * (c.sum() - c)
    moment_own = np.r_[square, np.full(n - 1, p**2 / 4)]
    mean_z = b * mass + mean * c.sum()
    x_z = b * mean + moment_c[0]
    square_z = b**2 * mass + 2 * b * mean * c.sum() + c @ moment_c
    value = none * max(b, 0.0) ** 2 + single * errors.sum()
    value += square - x_z + square_z / 2 + np.pi / h * (mean_z - mean)
    gradient = single * dc + b * mean + moment_c - moment_own + np.pi / h * mean
    slope = 2 * none * max(b, 0.0) + single * slopes.sum() + mean_z - mean + np.pi / h * mass
    return float(value), gradient, float(slope)


def _nodes(c: Float[ndarray, " n"], b: float, p: float, t: Float[ndarray, " k"], h: float) -> Gradient:
    """What two or more active features add to E z|z| / 2 - E x_0 |z| at the nodes t."""
    none, single = _few(len(c), p)
    square_weight = 2j / np.pi * h / t**3
    cross_weight = 2 / np.pi * h / t**2
    features = Independent(np.full(len(c), p))
    f = characteristic_function(t[:, None, None] * c, features.density, features, np.array([0]))
    phase, slope, log_slope = np.exp(1j * t * b), f.slope[:, 0], f.log_slope[:, 0]
    phi = phase * f.product[:, 0]
    phi_x = -1j * phi * log_slope[:, 0]
    rest = phi - phase * (none + single * f.value[:, 0].sum(-1))
    rest_x = phi_x + 1j * phase * single * slope[:, 0]
    summand = square_weight * rest + cross_weight * rest_x
    weight = t * (square_weight * phi + cross_weight * phi_x)
    dc = (weight @ log_slope - single * ((t * square_weight * phase) @ slope)).real
    own = phi_x * f.own_correction[:, 0] + 1j * phase * single * f.own_curvature[:, 0]
    dc[0] += (t * cross_weight * own).sum().real
    return float(summand.real.sum()), dc, float(-(t * summand).imag.sum())
