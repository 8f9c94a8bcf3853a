"""The exact loss near a point of (W, b), to second order.

The loss is a sum over outputs, L = sum_i I_i f_i(g_i, b_i) with g_i the i-th row of W^T W. Central differences of the
exact gradient are taken in these n + 1 variables of each output, all outputs at once, and carried over to (W, b) by
the chain rule, which is exact:

    d^2 L [V, c] = sum_i I_i f_i'' [(dg_i, c_i)]^2 + 2 sum_ij I_i (df_i / dg_ij) V_i . V_j ,   dG = V^T W + W^T V .
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from theory.loss.decoupled import decoupled_errors
from theory.loss.enumeration import max_features
from theory.loss.outputs import OutputErrors, output_errors
from theory.model.problem import Problem

__all__ = ["KINK", "Expansion", "at_kink", "chain", "clear_step", "difference", "expand", "gradients"]

# Central differences of a gradient known to 1e-16 in smooth stretches longer than this: Hessians to about 1e-9 of
# their largest entry, less where a third derivative is large (a digon's at low density, some 1e3: 1e-7).
_STEP = 3e-6
# A bias closer to zero than _AT_KINK counts as there; others keep their distance, down to a step of _SHORTEST. Beside
# one that is there the loss varies over biases as small as couplings are (those above _NO_COUPLING), and steps are
# _WITHIN of these.
_AT_KINK, _SHORTEST, _NO_COUPLING, _WITHIN = 1e-11, 3e-9, 1e-9, 1e-3
# Fixed nodes, where the loss is not enumerated, keep its gradient smooth: differences see no change of their number.
_NODES = 256
# Other laws are integrated to this accuracy, and differences of a gradient that is known to that have this step.
_INTEGRATED, _INTEGRATED_STEP, _MOST_NODES = 1e-11, 3e-5, 2**12
# Second differences of the gradient that exceed this part of the largest curvature show a kink.
KINK = 1e-3


@dataclass(frozen=True, eq=False)
class Expansion:
    """
    The loss near a point, to second order.

    Attributes
    ----------
    loss : float
        L there.
    gradient : ndarray, shape (d,)
        In W (row by row), then b: d = m n + n.
    hessian : ndarray, shape (d, d)
        Symmetric; an average over both sides where there is a kink.
    kinked : bool
        Whether the second derivative jumps here.
    scale : float
        Loss of the zero model (W = 0, b = 0), to which curvatures are compared.
    """

    loss: float
    gradient: Float[ndarray, " d"]
    hessian: Float[ndarray, "d d"]
    kinked: bool
    scale: float


def gradients(
    W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"], problem: Problem
) -> tuple[Float[ndarray, " k"], Float[ndarray, "k d"]]:
    """
    Give losses and gradients of a batch of models.

    Parameters
    ----------
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    problem : Problem
        A single problem.

    Returns
    -------
    loss : ndarray, shape (k,)
        Population losses.
    gradient : ndarray, shape (k, d)
        In W, row by row, and b.
    """
    errors = _errors(W.swapaxes(-1, -2) @ W, b, problem)
    loss, dW, db = errors.pull_back(W, problem.importance)
    return loss, np.concatenate([dW.reshape(len(W), -1), db], -1)


def _integrated(problem: Problem) -> bool:
    """Whether fixed nodes do not do the values justice, whose tail or singularities ask for more."""
    values = problem.features.values
    return values.box is None and problem.n > max_features(values)


def _errors(G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"], problem: Problem) -> OutputErrors:
    """Errors whose differences mean something: enumerated, with fixed nodes, or integrated to many digits."""
    if _integrated(problem):
        return output_errors(G, b, problem, rtol=_INTEGRATED, most_nodes=_MOST_NODES)
    return decoupled_errors(G, b, problem, _NODES)


def clear_step(G: Float[ndarray, "n n"], b: Float[ndarray, " n"], longest: float = _STEP) -> float:
    """
    Give a step of differences within which no bias crosses zero, unless it is zero; then far less than its couplings.

    Parameters
    ----------
    G : ndarray, shape (n, n)
        Couplings: where a bias is 0 the loss varies over as little as they are.
    b : ndarray, shape (n,)
        Biases; at low density a digon's are of the order p^2.
    longest : float
        Step where none is near.

    Returns
    -------
    float
        The step, at least 3e-9.
    """
    off = np.abs(b[np.abs(b) > _AT_KINK]).min(initial=np.inf) / 3
    couplings = np.abs(G[at_kink(b)])
    within = _WITHIN * couplings[couplings > _NO_COUPLING].min(initial=np.inf)
    return float(np.clip(min(off, within), _SHORTEST, longest))


def at_kink(b: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """
    Say which outputs are at the kink while no feature is active.

    Parameters
    ----------
    b : ndarray, shape (n,)
        Biases.

    Returns
    -------
    ndarray of bool, shape (n,)
        Where they are 0.
    """
    return np.asarray(np.abs(b) <= _AT_KINK)


def difference(
    slopes: Callable[[float], tuple[ndarray, ndarray]], step: float, kinked: bool
) -> tuple[ndarray, ndarray, ndarray]:
    """
    Differentiate a gradient.

    Parameters
    ----------
    slopes : callable
        Gives it at points a step further, and a step back.
    step : float
        The step.
    kinked : bool
        Whether an output is at its kink: the error is then of first order in the step, and is extrapolated.

    Returns
    -------
    derivative, up, down : ndarray
        The derivative, and the gradients a step away.
    """
    up, down = slopes(step)
    found = (up - down) / (2 * step)
    if kinked:
        above, below = slopes(2 * step)
        found = 2 * found - (above - below) / (4 * step)
    return found, up, down


def expand(W: Float[ndarray, "m n"], b: Float[ndarray, " n"], problem: Problem, step: float | None = None) -> Expansion:
    """
    Expand the population loss to second order.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Output biases.
    problem : Problem
        A single problem.
    step : float, optional
        Step of the central differences in couplings and biases; by default 3e-6, 3e-5 where losses are integrated, less
        where a coupling or a bias is nearer to 0.

    Returns
    -------
    Expansion
        Loss, gradient, Hessian; the Hessian's error is about 1e-16 / step from rounding plus step^2 times a fourth
        derivative, where the loss is smooth over a step.
    """
    n, k, weight = problem.n, np.arange(problem.n), problem.importance
    G = W.T @ W
    if step is None:
        step = clear_step(G, b, _INTEGRATED_STEP if _integrated(problem) else _STEP)

    def weighed(errors: OutputErrors) -> Float[ndarray, "k n v"]:
        return weight[:, None] * np.concatenate([errors.dG, errors.db[..., None]], -1)

    def slopes(step: float) -> tuple[ndarray, ndarray]:
        couplings, biases = np.tile(G, (2 * n + 2, 1, 1)), np.tile(b, (2 * n + 2, 1))
        for side, sign in ((0, 1.0), (n + 1, -1.0)):
            couplings[side + k, :, k] += sign * step  # a column: one coupling of every output, since they do not mix
            biases[side + n] += sign * step
        gradient = weighed(_errors(couplings, biases, problem))
        return gradient[: n + 1], gradient[n + 1 :]

    errors = _errors(G[None], b[None], problem)
    here = weighed(errors)[0]
    second, up, down = difference(slopes, step, bool(at_kink(b).any()))
    second = second.transpose(1, 2, 0)
    second = (second + second.swapaxes(1, 2)) / 2
    jump = np.abs(up + down - 2 * here).max() / step
    A = here[:, :n]
    return Expansion(
        loss=float((weight * errors.value[0]).sum()),
        gradient=np.concatenate([(W @ (A + A.T)).ravel(), here[:, n]]),
        hessian=chain(W, second, A),
        kinked=bool(jump > KINK * np.abs(second).max()),
        scale=float(problem.zero_loss),
    )


def chain(W: Float[ndarray, "m n"], second: Float[ndarray, "n v v"], A: Float[ndarray, "n n"]) -> Float[ndarray, "d d"]:
    """
    Carry second derivatives in couplings and biases over to (W, b).

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    second : ndarray, shape (n, n + 1, n + 1)
        Of every output's term of the loss, in its couplings, then its bias.
    A : ndarray, shape (n, n)
        Row i: the first derivatives of output i's term in its couplings.

    Returns
    -------
    ndarray, shape (d, d)
        The loss's Hessian in W, row by row, and b; d = m n + n.
    """
    m, n = W.shape
    d = m * n + n
    basis = np.eye(d)
    V, c = basis[:, : m * n].reshape(d, m, n), basis[:, m * n :]
    half = W.T @ V
    dG = half + half.swapaxes(1, 2)
    change = np.concatenate([dG, c[..., None]], -1)
    response = np.einsum("ivw,diw->div", second, change)
    dA = response[..., :n]
    HW = V @ (A + A.T) + W @ (dA + dA.swapaxes(1, 2))
    H = np.concatenate([HW.reshape(d, -1), response[..., n]], 1)
    return np.asarray((H + H.T) / 2)
