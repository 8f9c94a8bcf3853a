"""The expected squared error of single outputs of independent features, to second order.

Few features are enumerated (theory.loss.enumeration); for more, theory.loss.quadrature integrates the one output, with
as many nodes as it needs. Second derivatives are those of theory.loss.output_curvature.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.enumeration import active_patterns, expected_squared_error, max_features
from theory.loss.output_curvature import output_curvatures
from theory.loss.quadrature import MAX_NODES, quadrature
from theory.loss.reads import FAINT, reads
from theory.model.features import Independent
from theory.model.values import UNIFORM

__all__ = ["are_known", "output_error", "output_expansion", "rough_output_expansion"]

# Relative accuracy of an output's error; nodes are doubled until the last doubling changed less. Where couplings are
# small but not tiny the nodes run out before; the result is then good to the accuracy below, or there is a warning.
_ACCURACY, _ACCEPTABLE = 1e-9, 1e-6
_MANY_NODES = 2**11
# Up to so many features enumeration is quicker than so many nodes.
_ENUMERABLE = 10
# Beside couplings 1/_SMALL times as large, few nodes do not do.
_SMALL = 1e-2
# Nodes with which an error is known to about 1e-6 and its second derivatives to 1e-4.
_ROUGH_NODES = 64

Gradient = tuple[float, Float[ndarray, " n"], float, float]
Rows = tuple[Float[ndarray, " r"], Float[ndarray, "r k"], Float[ndarray, "r k k"]]


def output_expansion(c: Float[ndarray, "r n"], b: Float[ndarray, " r"], density: float) -> Rows:
    """
    Give errors of outputs to second order, as ``minimise_symmetric`` asks for them.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    density : float
        Probability that a feature is active, in (0, 1]; values are uniform on [0, 1].

    Returns
    -------
    value : ndarray, shape (r,)
        Errors, as from ``output_error``.
    slope : ndarray, shape (r, n + 1)
        Derivatives in the couplings, then the bias.
    curvature : ndarray, shape (r, n + 1, n + 1)
        Second derivatives, to about 1e-4; to some 1e-2 where couplings are small.
    """
    value, dc, db, _ = zip(
        *(output_error(row, bias, density) for row, bias in zip(c, b.tolist(), strict=True)), strict=True
    )
    return np.array(value), np.c_[np.array(dc), np.array(db)], _curvatures(c, b, density)


def are_known(c: Float[ndarray, "r n"], b: Float[ndarray, " r"], density: float) -> bool:
    """
    Say whether the errors of outputs are known to 1e-6 of themselves.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    density : float
        Probability that a feature is active, in (0, 1].

    Returns
    -------
    bool
        False if the nodes run out for one of them.
    """
    found = [output_error(row, bias, density) for row, bias in zip(c, b.tolist(), strict=True)]
    return all(miss <= _ACCEPTABLE * value for value, _, _, miss in found)


def rough_output_expansion(c: Float[ndarray, "r n"], b: Float[ndarray, " r"], density: float) -> Rows:
    """
    Give errors of outputs to second order with few nodes.

    Parameters
    ----------
    c : ndarray, shape (r, n)
        Couplings of r outputs, each output's own feature first.
    b : ndarray, shape (r,)
        Biases.
    density : float
        Probability that a feature is active, in (0, 1]; values are uniform on [0, 1].

    Returns
    -------
    value : ndarray, shape (r,)
        Errors to about 1e-6: enough to find a minimum, not to report it.
    slope : ndarray, shape (r, n + 1)
        Derivatives of these values in the couplings, then the bias.
    curvature : ndarray, shape (r, n + 1, n + 1)
        Second derivatives, to about 1e-4; to some 1e-2 where couplings are small.
    """
    r, n = c.shape
    size = np.abs(c) / max(float(np.abs(c).max()), 1e-300)
    small = (size.max(1) < _SMALL).any() or ((size > FAINT) & (size < _SMALL)).any()
    if small or n <= max_features(UNIFORM):
        return output_expansion(c, b, density)
    found = quadrature(
        c[:, None], b[:, None], Independent(np.full(n, density)), np.ones((r, 1)),
        nodes=_ROUGH_NODES, outputs=np.zeros(1, dtype=int),
    )  # fmt: skip
    return found.value[:, 0], np.concatenate([found.dG[:, 0], found.db], -1), _curvatures(c, b, density)


def _curvatures(c: Float[ndarray, "r n"], b: Float[ndarray, " r"], density: float) -> Float[ndarray, "r k k"]:
    return output_curvatures(c, b, np.full(c.shape, density), _ROUGH_NODES)


def output_error(c: Float[ndarray, " n"], b: float, density: float | Float[ndarray, " n"]) -> Gradient:
    """
    Give the expected squared error of one output among n independent features.

    Parameters
    ----------
    c : ndarray, shape (n,)
        Couplings of the output, its own feature first.
    b : float
        Its bias.
    density : float or ndarray, shape (n,)
        Probability that a feature is active, in (0, 1]; values are uniform on [0, 1].

    Returns
    -------
    value : float
        E (x_0 - ReLU(c . x + b))^2.
    dc : ndarray, shape (n,)
        Its gradient in the couplings.
    db : float
        Its derivative in the bias.
    miss : float
        Estimated absolute error of the value; more than 1e-9 of it where the nodes run out before.
    """
    p = np.broadcast_to(density, c.shape)
    read = reads(c, np.asarray(0), but_faint=True)
    if not read.all():
        # The others, for which nodes would have to reach 1 / FAINT times as far, act as a bias, their mean:
        # E f(b + c_j x_j) = f(b + c_j p/2) + f'' c_j^2 var(x_j) / 2 + ...
        rest, p_rest = c[read], p[read]
        shifted = b + float((p * c)[~read].sum()) / 2
        value, slope, db, miss = output_error(rest, shifted, p_rest)
        bend = output_curvatures(rest[None], np.array([shifted]), p_rest[None], _ROUGH_NODES)[0, -1, -1]
        dc = p / 2 * db + c * (p / 3 - p**2 / 4) * bend
        dc[read] = slope
        return value, dc, db, miss
    return _enumerated(c, b, p) if len(c) <= max_features(UNIFORM) else _integrated(c, b, p)


def _enumerated(c: Float[ndarray, " n"], b: float, p: Float[ndarray, " n"]) -> Gradient:
    """Sum over all sets of active features."""
    weight = np.where(active_patterns(len(c)), p, 1 - p).prod(1)
    values, dcs, dbs = expected_squared_error(c[None], np.array([b]), weight[None], UNIFORM)
    return float(values[0]), dcs[0], float(dbs[0]), 0.0


def _integrated(c: Float[ndarray, " n"], b: float, p: Float[ndarray, " n"]) -> Gradient:
    """As many nodes as the accuracy asks for; enumeration after all if they are too many."""
    limit = _MANY_NODES if len(c) <= _ENUMERABLE else MAX_NODES
    found = quadrature(
        c[None, None], np.full((1, 1), b), Independent(p), np.ones((1, 1)),
        rtol=_ACCURACY, outputs=np.zeros(1, dtype=int), max_nodes=limit,
    )  # fmt: skip
    value, miss = float(found.value[0, 0]), float(found.error[0, 0])
    if miss > _ACCURACY * value and len(c) <= _ENUMERABLE:
        return _enumerated(c, b, p)
    return value, found.dG[0, 0], float(found.db[0, 0]), miss
