"""A loss that knows its error: value, gradient, and bounds on both, with or without a decoder of its own and noise.

The hidden layer is h = W x + N(0, sigma^2), the output f(W_out h + b). Outputs are rows z_i = b_i + G_i . x + N(0,
sigma^2 |W_out_i|^2) with couplings G = W_out W; the gradient in couplings is pulled back by dW = W_out^T dG and
dW_out = dG W^T, which add up where W_out = W^T.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss.by_halves import rows_by_halves
from theory.loss.engine.activation import squared_error
from theory.loss.engine.estimate import Estimate, Parts
from theory.loss.engine.model import entry_error, estimate_loss
from theory.loss.engine.rows import Features
from theory.loss.lattice import active_patterns
from theory.loss.outputs import output_errors
from theory.loss.terms import checked_parameters, hidden_l1
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.tools.arrays import detached

__all__ = ["Estimate", "loss_estimate"]

_EPS = float(np.finfo(float).eps)
# Rounding of an enumerated derivative, in units of the largest product of z and a value: a few operations a state.
_ENUMERATED_SLOPE = 64 * _EPS
# Of more features no list is short.
_MOST_BY_HALVES = 200


def loss_estimate(
    W: ArrayLike,
    b: ArrayLike,
    problem: Problem,
    W_out: ArrayLike | None = None,
    noise: float | None = None,
    rtol: float = 1e-7,
    threads: int = 1,
) -> Estimate[float]:
    """
    Compute the population loss of one model, its gradient, and how far both can be wrong.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output bias.
    problem : Problem
        A single problem.
    W_out : array_like, shape (n, m), optional
        Decoder; by default W^T (tied weights), unless the problem's terms make it untied.
    noise : float
        Standard deviation of Gaussian noise on every hidden dimension, >= 0; by default that of the problem's terms.
    rtol : float
        Relative accuracy of every output's error, in (0, 1); the error says where it is not reached.
    threads : int
        Threads for many features.

    Returns
    -------
    Estimate
        E sum_i I_i (x_i - x'_i)^2, plus the penalties of the problem's terms, and a bound on its absolute error, in
        ``parts`` (truncation, step, series, rounding);
        the gradient by name, "W", "b" and where given "W_out" and "sigma"; ``gradient_error``, a bound on the absolute
        error of every entry of all of them; the most nodes used, and how many outputs took which
        path.

    Raises
    ------
    TypeError
        If an array is complex, masked or not numeric.
    ValueError
        If shapes do not fit, an entry is not finite or too large, rtol or noise is out of its range, or W, b and W_out
        are not what the problem's terms prescribe.

    Notes
    -----
    On a kink that an output meets with positive probability while its feature is active, as outputs of unrepresented
    features with a bias of 0 do, the gradient has one of the two one-sided derivatives (see
    ``population_loss_and_gradient``), and ``gradient_error`` is that of this one.

    Examples
    --------
    >>> found = loss_estimate([[1.0, -1.0]], [0.0, 0.0], Problem(n=2, m=1, density=0.1))
    >>> round(found.value, 12), found.error < 1e-13, found.paths
    (0.003333333333, True, {'enumerated': 2})
    """
    require_problem(problem)
    problem.single("loss_estimate")
    W_out = detached(W_out)
    terms = problem.terms
    W_, b_ = problem.checked(W, b) if terms.plain else checked_parameters(problem, W, b, W_out)[:2]
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must lie in (0, 1), got {rtol!r}")
    if noise is not None and not 0 <= noise < np.inf:
        raise ValueError(f"noise must be a finite standard deviation >= 0, got {noise!r}")
    if not terms.plain:
        return _with_terms(W_, b_, problem, W_out, noise, rtol, threads)
    noise = 0.0 if noise is None else noise
    if W_out is None and noise == 0:
        found = _listed(W_, b_, problem, None, rtol)
        if found is not None:
            return found
    features, error = Features.of(problem.features), squared_error(problem.activation)
    return estimate_loss(W_, b_, features, problem.importance, W_out, noise, error, rtol, threads=threads)


def _with_terms(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    W_out: ArrayLike | None,
    noise: float | None,
    rtol: float,
    threads: int,
) -> Estimate[float]:
    """The squared error by the engine, and the penalties."""
    terms = problem.terms
    if noise is not None and noise != terms.noise:
        raise ValueError(f"the problem's terms give the noise, {terms.noise!r}; leave out noise = {noise!r}")
    decoder = None if W_out is None else np.asarray(W_out, dtype=float)
    found = None if terms.noise else _listed(W, b, problem, decoder, rtol)
    if found is None:
        features, error = Features.of(problem.features), squared_error(problem.activation)
        found = estimate_loss(W, b, features, problem.importance, W_out, terms.noise, error, rtol, threads=threads)
    value, miss, gradient = found.value, found.error, dict(found.gradient)
    if terms.decay:
        for name in ("W", "W_out"):
            if name in gradient:
                weights = W if name == "W" or decoder is None else decoder
                value += terms.decay / 2 * float((weights**2).sum())
                gradient[name] = gradient[name] + terms.decay * weights
    slope_error, parts = found.gradient_error, found.parts
    if terms.l1:
        size, size_error, slope, slope_miss = hidden_l1(W, problem, rtol)
        value, gradient["W"] = value + terms.l1 * float(size), gradient["W"] + terms.l1 * slope
        miss, slope_error = miss + terms.l1 * float(size_error), slope_error + terms.l1 * float(slope_miss)
        parts = replace(parts, rounding=np.asarray(parts.rounding + terms.l1 * size_error))
    return replace(found, value=value, error=miss, gradient=gradient, gradient_error=slope_error, parts=parts)


def _listed(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    W_out: Float[ndarray, "n m"] | None,
    rtol: float,
) -> Estimate[float] | None:
    """Exact to rounding where features are few, to ``rtol`` where discrete values are listed half by half."""
    found = _enumerated(W, b, problem, W_out)
    return _by_halves(W, b, problem, W_out, rtol) if found is None else found


def _by_halves(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    W_out: Float[ndarray, "n m"] | None,
    rtol: float,
) -> Estimate[float] | None:
    if not problem.features.values.atoms or problem.n > _MOST_BY_HALVES:
        return None
    V, weight, (m, n) = W.T if W_out is None else W_out, problem.importance, W.shape
    largest = max(map(abs, problem.features.values.support))
    blur = (m + 2) * _EPS * largest * (np.abs(V) @ np.abs(W)).sum(1)
    found = rows_by_halves(V @ W, b, np.arange(n), problem.features, problem.activation, rtol, blur=blur)
    if found is None:
        return None
    zero = np.zeros(())
    parts = Parts(np.asarray(weight @ found.truncation), zero, zero, np.asarray(weight @ found.rounding))
    return Estimate(
        value=float(weight @ found.value),
        error=float(weight @ (found.truncation + found.rounding)),
        gradient=_pulled_back(W, W_out, weight[:, None] * found.dG, weight * found.db),
        gradient_error=entry_error(W, V, weight * found.gradient_error),
        nodes=0,
        parts=parts,
        paths={"halves": n},
    )


def _enumerated(
    W: Float[ndarray, "m n"], b: Float[ndarray, " n"], problem: Problem, W_out: Float[ndarray, "n m"] | None = None
) -> Estimate[float] | None:
    """Exact to rounding, where features are few or the output is linear."""
    from theory.loss.enumeration import max_features
    from theory.loss.quadrature import reach

    if problem.activation.kinks and problem.n > max_features(problem.features.values):
        return None
    V = W.T if W_out is None else W_out
    G, weight = V @ W, problem.importance
    errors = output_errors(G, b, problem)
    square = problem.features.value_square
    # a linear output needs moments only, whatever the tails
    straight = np.abs(b) + np.sqrt(square) * np.abs(G).sum(-1)
    furthest = reach(G, b, problem.features) if problem.activation.kinks else straight
    size = square + furthest**2
    rounding = float(weight @ (16 * _EPS * size))
    slope = weight * (_ENUMERATED_SLOPE * size + _unsure(W, G, b, problem))
    zero = np.zeros(())
    return Estimate(
        value=float(weight @ errors.value),
        error=rounding,
        gradient=_pulled_back(W, W_out, weight[:, None] * errors.dG, weight * errors.db),
        gradient_error=entry_error(W, V, slope),
        nodes=0,
        parts=Parts(zero, zero, zero, np.asarray(rounding)),
        paths={"enumerated": problem.n},
    )


def _pulled_back(
    W: Float[ndarray, "m n"], W_out: Float[ndarray, "n m"] | None, A: Float[ndarray, "n n"], db: Float[ndarray, " n"]
) -> dict[str, ndarray]:
    """The gradient by name, from that in the couplings, A, and in the biases."""
    if W_out is None:
        return {"W": W @ (A + A.T), "b": db}
    return {"W": W_out.T @ A, "b": db, "W_out": A @ W.T}


def _unsure(
    W: Float[ndarray, "m n"], G: Float[ndarray, "n n"], b: Float[ndarray, " n"], problem: Problem
) -> Float[ndarray, " n"]:
    """
    Bound what derivatives are off by where rounding of the couplings may have put z on the other side of its kink.

    In an active set whose z lies within rounding of 0 with probability q, the derivative of (x_i - f(z))^2 in z may be
    wrong by 2 |x_i| times the change of the slope of f.
    """
    box, bend = problem.features.values.box, problem.activation.bend
    if box is None or not problem.activation.kinks:
        return np.zeros(problem.n)
    m, n = W.shape
    active = active_patterns(n)
    probability = problem.features.pattern_probability(active)
    out = np.empty(n)
    size = np.abs(W).T @ np.abs(W)
    for i in range(n):
        own = active[:, i]
        seen, p = active[own], probability[own]
        slack = (m + n + 4) * _EPS * (abs(b[i]) + box.height * (seen @ size[i]))
        top = b[i] + box.height * (seen @ (np.maximum(G[i], 0) if box.filled else G[i]))
        low = b[i] + box.height * (seen @ np.minimum(G[i], 0)) if box.filled else top
        near = (low <= slack) & (top >= -slack) & (slack > 0)
        # uniform values: the density of z is at most one over the largest coupling
        largest = box.height * (seen * np.abs(G[i])).max(1)
        within = np.minimum(2 * slack / np.maximum(largest, 1e-300), 1.0) if box.filled else 1.0
        out[i] = 2 * abs(bend) * box.height * max(1.0, box.height) * (p * near * within).sum()
    return out
