"""The exact population loss L = E sum_i I_i (x_i - x'_i)^2 and its gradient, for any number of features.

Errors of outputs come from theory.loss.outputs; here they are weighed, and carried over to (W, b). Many features are
handled block by block. What a problem asks besides reconstruction is in theory.loss.terms.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss.accuracy import AccuracyWarning, warn_of_misses
from theory.loss.outputs import Model, OutputErrors, enumerated_errors, output_errors
from theory.model.activations import activation_of
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.tools.threads import own_threads

__all__ = [
    "AccuracyWarning",
    "Model",
    "OutputErrors",
    "enumerated_errors",
    "output_errors",
    "population_loss",
    "population_loss_and_gradient",
]

# From so many features on a single model's couplings are not kept, but made block by block.
_BLOCKWISE = 200


def population_loss(
    W: ArrayLike,
    b: ArrayLike,
    problem: Problem,
    model: Model | None = None,
    rtol: float = 1e-7,
    W_out: ArrayLike | None = None,
) -> float | Float[ndarray, "*batch"]:
    """
    Compute the exact population loss of a toy model.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column W_j is feature j's direction.
    b : array_like, shape (n,) or (*batch, n)
        Output bias, added before the ReLU.
    problem : Problem
        Feature distribution and importances; its batch broadcasts against that of W and b.
    model : Activation or {"relu", "linear"}, optional
        Output activation, x' = ReLU(W^T W x + b) or x' = W^T W x + b; by default the problem's own.
    rtol : float
        Relative accuracy to reach where quadrature is needed: for more than six features, and for values that are
        neither uniform on [0, c] nor of a few atoms. Elsewhere the result is exact to rounding.
    W_out : array_like, shape (n, m) or (*batch, n, m), optional
        Decoder of a problem whose terms make it untied.

    Returns
    -------
    float, or ndarray of shape (*batch,)
        E sum_i I_i (x_i - x'_i)^2: summed over features, averaged over the distribution, plus the penalties of the
        problem's terms; >= 0.

    Raises
    ------
    ValueError
        If shapes do not fit, W or b is not finite, the model is unknown, W_out is missing or not asked for, or W or b
        is not what the problem's terms prescribe.

    Warns
    -----
    AccuracyWarning
        If ``rtol`` could not be reached.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Demonstrating Superposition" (setup).

    Examples
    --------
    >>> from theory import Problem
    >>> problem = Problem(n=2, m=1, density=0.5)
    >>> round(population_loss([[1.0, -1.0]], [0.0, 0.0], problem), 12)  # antipodal pair: (1 + r) p^2 / 6
    0.083333333333
    """
    require_problem(problem)
    if not problem.terms.plain or W_out is not None:
        loss = _with_terms(W, b, problem, model, rtol, W_out)[0]
    else:
        loss, _, _ = _loss_and_gradient(W, b, problem, model, rtol)
    return loss if loss.ndim else float(loss)


def population_loss_and_gradient(
    W: ArrayLike,
    b: ArrayLike,
    problem: Problem,
    model: Model | None = None,
    rtol: float = 1e-7,
    W_out: ArrayLike | None = None,
) -> tuple[Any, ...]:
    """
    Compute the exact population loss and its gradient in W and b, and in W_out where that is free.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding.
    b : array_like, shape (n,) or (*batch, n)
        Output bias.
    problem : Problem
        Feature distribution and importances.
    model : Activation or {"relu", "linear"}, optional
        Output activation; by default the problem's own.
    rtol : float
        Relative accuracy of the loss, as for ``population_loss``.
    W_out : array_like, shape (n, m) or (*batch, n, m), optional
        Decoder of a problem whose terms make it untied.

    Returns
    -------
    loss : float, or ndarray of shape (*batch,)
        The population loss.
    dW : ndarray, shape (*batch, m, n)
        Its gradient in W.
    db : ndarray, shape (*batch, n)
        Its gradient in b.
    dW_out : ndarray, shape (*batch, n, m)
        Its gradient in W_out, if the decoder is untied; else nothing.

    Raises
    ------
    ValueError
        As ``population_loss``.

    Notes
    -----
    The gradient is that in all entries, also in those that a given bias or unit norms hold.

    Where an output lies on its kink, z = 0, with positive probability while its feature is active, as outputs of
    unrepresented features with a bias of 0 do, the loss has two one-sided derivatives, 0 and -2 E x for the bias; the
    gradient has one of them, above the kink where losses of uniform values are enumerated, below it elsewhere.

    Examples
    --------
    >>> from theory import Problem
    >>> loss, dW, db = population_loss_and_gradient([[1.0, 0.0]], [0.0, 0.1], Problem(n=2, m=1, density=0.2))
    >>> dW.shape, db.shape
    ((1, 2), (2,))
    """
    require_problem(problem)
    if not problem.terms.plain or W_out is not None:
        loss, dW, db, dW_out = _with_terms(W, b, problem, model, rtol, W_out)
        parts = (loss if loss.ndim else float(loss)), dW, db
        return parts if dW_out is None else (*parts, dW_out)
    loss, dW, db = _loss_and_gradient(W, b, problem, model, rtol)
    return (loss if loss.ndim else float(loss)), dW, db


def _with_terms(
    W: ArrayLike, b: ArrayLike, problem: Problem, model: Model | None, rtol: float, W_out: ArrayLike | None
) -> tuple[ndarray, ndarray, ndarray, ndarray | None]:
    from theory.loss.terms import checked_parameters, loss_with_terms

    found = loss_with_terms(*checked_parameters(problem, W, b, W_out), problem, model, rtol)
    return found.loss, found.dW, found.db, found.dW_out


def _loss_and_gradient(
    W: ArrayLike, b: ArrayLike, problem: Problem, model: Model | None, rtol: float
) -> tuple[ndarray, ndarray, ndarray]:
    W, b = problem.checked(W, b)
    activation = problem.activation if model is None else activation_of(model)
    if b.ndim == 1 and problem.n >= _BLOCKWISE and activation.kinks:
        from theory.loss.engine.activation import squared_error
        from theory.loss.engine.model import estimate_loss
        from theory.loss.engine.rows import Features

        found = estimate_loss(
            W, b, Features.of(problem.features), problem.importance, error=squared_error(activation), rtol=rtol,
            threads=own_threads(),
        )  # fmt: skip
        warn_of_misses(np.array([found.value]), np.array([found.error]), np.atleast_1d(problem.zero_loss), rtol)
        return np.asarray(found.value), found.gradient["W"], found.gradient["b"]
    return output_errors(W.swapaxes(-1, -2) @ W, b, problem, activation, rtol).pull_back(W, problem.importance)
