"""The loss of problems with terms: a decoder of its own, noise on the hidden layer, weight decay, an L1 penalty.

Outputs read z_i = b_i + G_i . x + N(0, v_i) with couplings G = W_out W and v_i = noise^2 |W_out_i|^2. With A and B the
weighted derivatives in G and v, dW = W_out^T A and dW_out = A W^T + 2 noise^2 B W_out, which add up where W_out = W^T.
E |W_d . x| comes from the same rows, with W_d in place of G_i, and E|z| in place of the squared error.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss.discrete_states import discrete_size, is_discrete
from theory.loss.enumeration import active_patterns, max_features
from theory.loss.outputs import ENUMERATION_ROUNDING, Model, alike, output_errors
from theory.model.activations import activation_of
from theory.model.problem import Problem
from theory.model.value_units import natural_law
from theory.tools.arrays import detached
from theory.tools.threads import own_threads

__all__ = ["Value", "checked_parameters", "hidden_l1", "loss_with_terms"]

# How far given biases and unit norms may be off: single precision, and some steps of a descent in it.
_HELD = 1e-5
# From so many features on a single model's couplings are not kept, but made block by block.
_BLOCKWISE = 200


class Value(NamedTuple):
    """
    A loss with all its terms, and its gradient.

    Attributes
    ----------
    loss, error : ndarray, shape (*batch,)
        The loss, and a bound on its absolute error.
    dW : ndarray, shape (*batch, m, n)
        Gradient in W.
    db : ndarray, shape (*batch, n)
        Gradient in b.
    dW_out : ndarray, shape (*batch, n, m), or None
        Gradient in W_out where that is free.
    """

    loss: ndarray
    error: ndarray
    dW: ndarray
    db: ndarray
    dW_out: ndarray | None = None


def checked_parameters(
    problem: Problem, W: ArrayLike, b: ArrayLike, W_out: ArrayLike | None = None
) -> tuple[Float[ndarray, "*b m n"], Float[ndarray, "*b n"], Float[ndarray, "*b n m"] | None]:
    """
    Refuse parameters that do not fit a problem and its terms; broadcast their batches together.

    Parameters
    ----------
    problem : Problem
        The problem.
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding.
    b : array_like, shape (n,) or (*batch, n)
        Output bias.
    W_out : array_like, shape (n, m) or (*batch, n, m), optional
        Decoder, for problems whose terms make it untied.

    Returns
    -------
    W, b, W_out : ndarray
        Float64, with a common batch shape; W_out is None where weights are tied.

    Raises
    ------
    TypeError
        If an array is not numeric.
    ValueError
        If shapes do not fit, an entry is not finite, W_out is missing or not asked for, or W or b is not what the terms
        prescribe.
    """
    terms, decoder = problem.terms, None
    if (W_out is None) != terms.tied:
        raise ValueError(
            "the problem's decoder is untied: give W_out, of shape (n, m)"
            if W_out is None
            else 'the problem\'s decoder is tied: leave out W_out, or give the problem Terms(decoder="untied")'
        )
    if W_out is not None:
        W_out = detached(W_out)
        if np.shape(W_out)[-2:] != (problem.n, problem.m):
            raise ValueError(f"W_out must have shape (n, m) = {(problem.n, problem.m)}, got {np.shape(W_out)}")
        raw = np.ma.asanyarray(W_out) if np.ma.isMaskedArray(W_out) else np.asarray(W_out)
        if raw.dtype.kind in "fc" and not np.isfinite(raw).all():
            raise ValueError("W_out must be finite, got NaN or infinity")
        decoder = problem.checked(raw.swapaxes(-1, -2), np.zeros(problem.n), terms=True)[0]
    W, b = problem.checked(W, b, terms=True)
    if decoder is not None:
        batch = np.broadcast_shapes(W.shape[:-2], decoder.shape[:-2])
        W, decoder = (np.broadcast_to(part, (*batch, *part.shape[-2:])) for part in (W, decoder))
        b, decoder = np.broadcast_to(b, (*batch, problem.n)), decoder.swapaxes(-1, -2)
    given = terms.bias_of(problem.n)
    if given is not None and np.abs(b - given).max() > _HELD * (1 + np.abs(given).max()):
        raise ValueError(f"the problem's bias is given, {terms.bias!r}, but b is another")
    if terms.unit_norms:
        norms = np.sqrt((W**2).sum(-2))
        if np.abs(norms - 1).max() > _HELD:
            raise ValueError(
                f"the problem asks for columns of length 1, but those of W are from {norms.min():.6g} to "
                f"{norms.max():.6g} long; divide them by their lengths"
            )
    return W, b, decoder


def loss_with_terms(
    W: Float[ndarray, "*batch m n"],
    b: Float[ndarray, "*batch n"],
    W_out: Float[ndarray, "*batch n m"] | None,
    problem: Problem,
    model: Model | None = None,
    rtol: float = 1e-7,
    nodes: int | None = None,
    most_nodes: int | None = None,
) -> Value:
    """
    Compute the population loss with all terms of the problem, and its gradient.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings; the batch includes that of the problem.
    b : ndarray, shape (*batch, n)
        Output biases.
    W_out : ndarray, shape (*batch, n, m), or None
        Decoders; W^T by default.
    problem : Problem
        The problem.
    model : Activation or {"relu", "linear"}, optional
        Output activation; by default the problem's own.
    rtol : float
        Relative accuracy where losses are not enumerated.
    nodes : int, optional
        Fixed nodes for more features than are enumerated, where there is no noise.
    most_nodes : int, optional
        At most so many nodes where losses are integrated to an accuracy, as in ``output_errors``.

    Returns
    -------
    Value
        Loss and gradient, as if no entry were held by a constraint.
    """
    terms, weight = problem.terms, problem.importance
    activation = problem.activation if model is None else activation_of(model)
    if b.ndim == 1 and problem.n >= _BLOCKWISE and activation.kinks:
        found = _blockwise(W, b, W_out, problem, activation, rtol)
    else:
        V = W.swapaxes(-1, -2) if W_out is None else W_out
        noise = terms.noise**2 * (V**2).sum(-1) if terms.noise else None
        errors = output_errors(V @ W, b, problem, activation, rtol, None if terms.noise else nodes, noise, most_nodes)
        A = weight[..., None] * errors.dG
        dW, dV = V.swapaxes(-1, -2) @ A, A @ W.swapaxes(-1, -2)
        if errors.dnoise is not None:
            dV = dV + 2 * terms.noise**2 * (weight * errors.dnoise)[..., None] * V
        loss = np.asarray((weight * errors.value).sum(-1))
        miss = np.zeros_like(loss) if errors.error is None else np.asarray((weight * errors.error).sum(-1))
        db = weight * errors.db
        found = Value(loss, miss, dW + dV.swapaxes(-1, -2) if W_out is None else dW, db, None if W_out is None else dV)
    return _penalised(found, W, W_out, problem, rtol, most_nodes)


def _blockwise(
    W: ndarray, b: ndarray, W_out: ndarray | None, problem: Problem, activation: Model, rtol: float
) -> Value:
    """One model of many features, whose couplings are not kept."""
    from theory.loss.accuracy import warn_of_misses
    from theory.loss.engine.activation import squared_error
    from theory.loss.engine.model import estimate_loss
    from theory.loss.engine.rows import Features

    features, error = Features.of(problem.features), squared_error(activation_of(activation))
    sigma, threads = problem.terms.noise, own_threads()
    found = estimate_loss(W, b, features, problem.importance, W_out, sigma, error, rtol, threads=threads)
    warn_of_misses(np.array([found.value]), np.array([found.error]), np.atleast_1d(problem.zero_loss), rtol)
    slope = found.gradient
    return Value(np.asarray(found.value), np.asarray(found.error), slope["W"], slope["b"], slope.get("W_out"))


def _penalised(
    found: Value, W: ndarray, W_out: ndarray | None, problem: Problem, rtol: float, most_nodes: int | None
) -> Value:
    """Add decay and the L1 penalty."""
    terms = problem.terms
    loss, error, dW, db, dW_out = found
    if terms.decay:
        loss = loss + terms.decay / 2 * (W**2).sum((-2, -1))
        dW = dW + terms.decay * W
        if W_out is not None and dW_out is not None:
            loss = loss + terms.decay / 2 * (W_out**2).sum((-2, -1))
            dW_out = dW_out + terms.decay * W_out
    if terms.l1:
        size, miss, slope, _ = hidden_l1(W, problem, rtol, most_nodes)
        loss, error, dW = loss + terms.l1 * size, error + terms.l1 * miss, dW + terms.l1 * slope
    return Value(np.asarray(loss), np.asarray(error), dW, db, dW_out)


def hidden_l1(
    W: Float[ndarray, "*batch m n"], problem: Problem, rtol: float = 1e-7, most_nodes: int | None = None
) -> tuple[Float[ndarray, "*batch"], Float[ndarray, "*batch"], Float[ndarray, "*batch m n"], Float[ndarray, "*batch"]]:
    """
    Compute the L1 norm of the hidden values, E sum_d |W_d . x|.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings; the batch includes that of the problem.
    problem : Problem
        Distribution of the features.
    rtol : float
        Accuracy, relative to E x^2 of the most frequent feature.
    most_nodes : int, optional
        At most so many nodes, whatever the accuracy.

    Returns
    -------
    value, error : ndarray, shape (*batch,)
        The norm, and a bound on its absolute error.
    slope : ndarray, shape (*batch, m, n)
        Its gradient; 0 in entries at 0, for the part that has a kink there.
    slope_error : ndarray, shape (*batch,)
        Bound on the absolute error of its entries.
    """
    from theory.loss.engine.activation import SquaredError
    from theory.loss.engine.engine import MAX_NODES, row_errors
    from theory.loss.engine.rows import Rows

    unit, size = natural_law(problem.features.values)
    if size != 1:
        measured = replace(problem, features=problem.features.with_values(unit))
        value, error, slope, miss = hidden_l1(W, measured, rtol, most_nodes)
        return size * value, size * error, size * slope, size * miss
    *batch, m, n = W.shape
    if is_discrete(problem.features.values) and n <= max_features(problem.features.values):
        return _enumerated_l1(W, problem)
    flat = W.reshape(-1, m, n)
    k, features = len(flat), problem.features.reshaped(tuple(batch))
    square = np.broadcast_to(features.value_square * features.feature_density, (k, n))
    value, error, slope, miss = np.empty(k), np.empty(k), np.empty((k, m, n)), np.empty(k)
    absolute = SquaredError(linear_cross=0.0, square=0.0, kinks=((0.0, 1.0, 0.0, 0.0),))
    own = np.argmax(square, axis=1)  # the engine's E x_own^2 is taken off again
    for members, law in alike(features, k, m):
        none = np.zeros(len(members) * m)
        rows = Rows(flat[members].reshape(-1, n), none, np.repeat(own[members], m), none)
        found = row_errors(rows, law, absolute, rtol, most_nodes or MAX_NODES)
        value[members] = found.value.reshape(-1, m).sum(1) - m * square[members, own[members]]
        error[members], slope[members] = found.error.reshape(-1, m).sum(1), found.dG.reshape(-1, m, n)
        miss[members] = found.gradient_error.reshape(-1, m).max(1)
    return value.reshape(batch), error.reshape(batch), slope.reshape(W.shape), miss.reshape(batch)


def _enumerated_l1(W: Float[ndarray, "*batch m n"], problem: Problem) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """``hidden_l1`` of few features with discrete values, whose kinks lie everywhere, to rounding."""
    *batch, m, n = W.shape
    chance = problem.features.pattern_probability(active_patterns(n))
    weight = np.repeat(np.broadcast_to(chance, (*batch, 2**n)).reshape(-1, 2**n), m, axis=0)
    value, slope = discrete_size(W.reshape(-1, n), weight, problem.features.values)
    largest = max(np.abs(problem.features.values.support))
    error = np.asarray(ENUMERATION_ROUNDING * largest * np.abs(W).sum((-2, -1)))
    miss = np.full(tuple(batch), ENUMERATION_ROUNDING * largest)
    return np.asarray(value.reshape(*batch, m).sum(-1)), error, slope.reshape(W.shape), miss
