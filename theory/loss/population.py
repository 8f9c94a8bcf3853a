"""The exact population loss L = E sum_i I_i (x_i - x'_i)^2 and its gradient, for any number of features.

Three routes, one answer. The linear model needs moments only. Activations with a kink are evaluated by enumerating
active sets (theory.loss.enumeration: few features, machine precision) or from characteristic functions
(theory.loss.engine: any number of features, to a requested relative accuracy, with an error that holds).
"""

import os
import sys
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss import enumeration
from theory.loss.quadrature import quadrature, reach
from theory.model.activations import RELU, Activation, activation_of
from theory.model.features import FeatureDistribution
from theory.model.problem import Problem
from theory.model.values import ValueLaw

__all__ = [
    "AccuracyWarning",
    "Model",
    "OutputErrors",
    "enumerated_errors",
    "output_errors",
    "population_loss",
    "population_loss_and_gradient",
]

if TYPE_CHECKING:
    from theory.loss.engine.rows import Features

# An output activation, or the name of one that the package has.
Model = Activation | Literal["relu", "linear"]


# From so many features on a single model's couplings are not kept, but made block by block.
_BLOCKWISE = 200
# Couplings in a call of the engine from which on threads pay.
_THREADED = 500_000
# A loss is known to this part of the zero model's at best; one that is smaller counts as accurate.
_ROUNDING = 1e-12
# Rounding of an enumeration, in units of the largest square that is averaged: a few operations a state, weights <= 1.
_ENUMERATION_ROUNDING = 16 * np.finfo(float).eps


class AccuracyWarning(UserWarning):
    """A loss could not be computed to the accuracy that was asked for; the message says how far it got."""


@dataclass(frozen=True, eq=False)
class OutputErrors:
    """
    Expected squared error of every output, unweighted, and its gradient.

    Attributes
    ----------
    value : ndarray, shape (*batch, n)
        E (x_i - x'_i)^2.
    dG : ndarray, shape (*batch, n, n)
        Row i: derivatives of ``value[i]`` in the couplings g_ij = W_i . W_j, taken as independent numbers.
    db : ndarray, shape (*batch, n)
        Derivative of ``value[i]`` in the bias b_i.
    error : ndarray, shape (*batch, n), or None
        Bound on the absolute error of ``value``; None where the number of nodes was fixed beforehand.
    """

    value: Float[ndarray, "*batch n"]
    dG: Float[ndarray, "*batch n n"]
    db: Float[ndarray, "*batch n"]
    error: Float[ndarray, "*batch n"] | None = None

    def pull_back(
        self, W: Float[ndarray, "*batch m n"], importance: Float[ndarray, "*#batch n"]
    ) -> tuple[Float[ndarray, "*batch"], Float[ndarray, "*batch m n"], Float[ndarray, "*batch n"]]:
        """
        Weigh the outputs and carry their gradients over from couplings G = W^T W to the embedding.

        Parameters
        ----------
        W : ndarray, shape (*batch, m, n)
            Embedding.
        importance : ndarray, shape (*batch, n)
            Weight of each output.

        Returns
        -------
        loss : ndarray, shape (*batch,)
            Weighted sum of the errors.
        dW : ndarray, shape (*batch, m, n)
            Its gradient in W, W (A + A^T) with A the weighted ``dG``.
        db : ndarray, shape (*batch, n)
            Its gradient in b.
        """
        A = importance[..., None] * self.dG
        loss = np.asarray((importance * self.value).sum(-1))
        return loss, W @ (A + A.swapaxes(-1, -2)), importance * self.db


def population_loss(
    W: ArrayLike, b: ArrayLike, problem: Problem, model: Model | None = None, rtol: float = 1e-7
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
        Relative accuracy to reach where quadrature is needed (more than six features); below that
        the result is exact to rounding.

    Returns
    -------
    float, or ndarray of shape (*batch,)
        E sum_i I_i (x_i - x'_i)^2: summed over features, averaged over the distribution; >= 0.

    Raises
    ------
    ValueError
        If shapes do not fit, W or b is not finite, or the model is unknown.

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
    loss, _, _ = _loss_and_gradient(W, b, problem, model, rtol)
    return loss if loss.ndim else float(loss)


def population_loss_and_gradient(
    W: ArrayLike, b: ArrayLike, problem: Problem, model: Model | None = None, rtol: float = 1e-7
) -> tuple[float | Float[ndarray, "*batch"], Float[ndarray, "*batch m n"], Float[ndarray, "*batch n"]]:
    """
    Compute the exact population loss and its gradient in W and b.

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

    Returns
    -------
    loss : float, or ndarray of shape (*batch,)
        The population loss.
    dW : ndarray, shape (*batch, m, n)
        Its gradient in W.
    db : ndarray, shape (*batch, n)
        Its gradient in b.

    Raises
    ------
    ValueError
        If shapes do not fit, W or b is not finite, or the model is unknown.

    Examples
    --------
    >>> from theory import Problem
    >>> loss, dW, db = population_loss_and_gradient([[1.0, 0.0]], [0.0, 0.1], Problem(n=2, m=1, density=0.2))
    >>> dW.shape, db.shape
    ((1, 2), (2,))
    """
    loss, dW, db = _loss_and_gradient(W, b, problem, model, rtol)
    return (loss if loss.ndim else float(loss)), dW, db


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
            threads=os.cpu_count() or 1,
        )  # fmt: skip
        _warn_of_misses(np.array([found.value]), np.array([found.error]), np.atleast_1d(problem.zero_loss), rtol)
        return np.asarray(found.value), found.gradient["W"], found.gradient["b"]
    return output_errors(W.swapaxes(-1, -2) @ W, b, problem, activation, rtol).pull_back(W, problem.importance)


def output_errors(
    G: Float[ndarray, "*batch n n"],
    b: Float[ndarray, "*batch n"],
    problem: Problem,
    model: Model | None = None,
    rtol: float = 1e-7,
    nodes: int | None = None,
) -> OutputErrors:
    """
    Compute the expected squared error of every output, with its gradient in the couplings.

    Parameters
    ----------
    G : ndarray, shape (*batch, n, n)
        Couplings W^T W; the batch includes that of the problem.
    b : ndarray, shape (*batch, n)
        Output biases.
    problem : Problem
        Feature distribution; importances only weigh the accuracy.
    model : Activation or {"relu", "linear"}, optional
        Output activation; by default the problem's own.
    rtol : float
        Relative accuracy of the weighted sum where quadrature is needed.
    nodes : int, optional
        Force quadrature with exactly so many nodes, whatever its accuracy.

    Returns
    -------
    OutputErrors
        Values and gradients.

    Raises
    ------
    ValueError
        If the model is unknown.
    """
    activation = problem.activation if model is None else activation_of(model)
    activation.require_straight()
    if nodes is None and not 0 < rtol < 1:
        raise ValueError(f"rtol must lie in (0, 1), got {rtol!r}")
    if not activation.kinks:
        return _straight(G, b, problem, activation)
    batch, n, values = b.shape[:-1], problem.n, problem.features.values
    G, b = G.reshape(-1, n, n), b.reshape(-1, n)
    if nodes is None and n <= enumeration.max_features(values):
        probability = _flat(problem.features.pattern_probability(enumeration.active_patterns(n)), batch)
        errors = enumerated_errors(G, b, probability, values, activation)
        errors = replace(errors, error=_ENUMERATION_ROUNDING * (values.square + reach(G, b, problem.features) ** 2))
    elif nodes is not None:
        features, importance = problem.features.reshaped(batch), _flat(problem.importance, batch)
        found = quadrature(G, b, features, importance, nodes=nodes, activation=activation)
        errors = OutputErrors(found.value, found.dG, found.db)
    else:
        errors = _integrated(G, b, problem, batch, rtol, activation)
    miss = None if errors.error is None else errors.error.reshape(*batch, n)
    return OutputErrors(
        errors.value.reshape(*batch, n), errors.dG.reshape(*batch, n, n), errors.db.reshape(*batch, n), miss
    )


def _straight(G: ndarray, b: ndarray, problem: Problem, activation: Activation) -> OutputErrors:
    """Moments alone: x - x' = R x - a b with R = 1 - a G, a the activation's slope."""
    slope = activation.left
    G, b = slope * G, slope * b
    R = np.eye(problem.n) - G
    moment, mean = problem.features.second_moment, problem.features.mean
    R_moment = R @ moment
    R_mean = (R @ mean[..., None])[..., 0]
    value = (R_moment * R).sum(-1) - 2 * b * R_mean + b**2
    dG = -2 * slope * (R_moment - b[..., None] * mean[..., None, :])
    return OutputErrors(np.maximum(value, 0.0), dG, 2 * slope * (b - R_mean))


def _flat(values: ndarray, batch: tuple[int, ...]) -> ndarray:
    """Broadcast one trailing axis over the batch, and flatten the batch."""
    return np.broadcast_to(values, (*batch, values.shape[-1])).reshape(-1, values.shape[-1])


def enumerated_errors(
    G: Float[ndarray, "k n n"],
    b: Float[ndarray, "k n"],
    probability: Float[ndarray, "k patterns"],
    values: ValueLaw,
    activation: Activation = RELU,
) -> OutputErrors:
    """
    Compute the expected squared error of every output by enumerating the sets of active features.

    Parameters
    ----------
    G : ndarray, shape (k, n, n)
        Couplings W^T W.
    b : ndarray, shape (k, n)
        Output biases.
    probability : ndarray, shape (k, 2**n)
        Probability of every pattern of ``theory.loss.enumeration.active_patterns(n)``.
    values : ValueLaw
        Law of an active feature's value; one with a box.
    activation : Activation
        The output activation.

    Returns
    -------
    OutputErrors
        Values and gradients.
    """
    n = b.shape[1]
    order, swapped_patterns = enumeration.own_first(n)
    weight = probability[:, swapped_patterns].reshape(-1, 2**n)
    own = np.arange(n)[:, None]
    value, dc, db = enumeration.expected_squared_error(
        G[:, own, order].reshape(-1, n), b.reshape(-1), weight, values, activation
    )
    dG = np.empty_like(G)
    dG[:, own, order] = dc.reshape(-1, n, n)
    return OutputErrors(value.reshape(-1, n), dG, db.reshape(-1, n))


def _integrated(
    G: Float[ndarray, "k n n"],
    b: Float[ndarray, "k n"],
    problem: Problem,
    batch: tuple[int, ...],
    rtol: float,
    activation: Activation,
) -> OutputErrors:
    """Integrate every output to its own accuracy; warn where the loss is not known to it."""
    from theory.loss.engine.activation import squared_error  # few features, the usual case, do not wait for these
    from theory.loss.engine.engine import row_errors
    from theory.loss.engine.rows import Rows

    k, n = b.shape
    features = problem.features.reshaped(batch)
    value, dG, db, error = np.empty((k, n)), np.empty((k, n, n)), np.empty((k, n)), np.empty((k, n))
    for members, law in _alike(features, k):
        rows = Rows(
            G[members].reshape(-1, n),
            b[members].ravel(),
            np.tile(np.arange(n), len(members)),
            np.zeros(len(members) * n),
        )
        threads = (os.cpu_count() or 1) if rows.G.size > _THREADED else 1
        found = row_errors(rows, law, squared_error(activation), rtol, threads=threads)
        value[members], db[members] = found.value.reshape(-1, n), found.db.reshape(-1, n)
        dG[members], error[members] = found.dG.reshape(-1, n, n), found.error.reshape(-1, n)
    importance = _flat(problem.importance, batch)
    unit = (importance * features.value_square * features.feature_density).sum(-1)
    _warn_of_misses((importance * value).sum(-1), (importance * error).sum(-1), unit, rtol)
    return OutputErrors(value, dG, db, error)


def _alike(features: FeatureDistribution, k: int) -> "list[tuple[ndarray, Features]]":
    """Group the models of a batch by their distribution of features; few independent features need no groups."""
    from theory.loss.engine.bulk import LEAST_FEATURES
    from theory.loss.engine.rows import Features

    if not features.batch_shape:
        return [(np.arange(k), Features.of(features))]
    if features.independent and features.n < LEAST_FEATURES:
        return [(np.arange(k), Features(features.values, np.repeat(features.feature_density, features.n, axis=0)))]
    _, first, group = np.unique(features.density, axis=0, return_index=True, return_inverse=True)
    return [
        (np.flatnonzero(group.ravel() == g), Features.of(features.with_density(features.density[place])))
        for g, place in enumerate(first)
    ]


def _warn_of_misses(
    loss: Float[ndarray, " k"], error: Float[ndarray, " k"], unit: Float[ndarray, " k"], rtol: float
) -> None:
    """Say so where a loss is known to less than was asked for, and to less than rounding allows."""
    missed = error > rtol * loss + _ROUNDING * unit
    if missed.any():
        worst = int(np.argmax(error / np.maximum(loss, np.finfo(float).tiny)))
        warnings.warn(
            f"the loss {loss[worst]:.6g} is only known to about {error[worst]:.1e}, not to rtol = {rtol:g}; pass a "
            "larger rtol",
            AccuracyWarning,
            stacklevel=_caller(),
        )


def _caller() -> int:
    """How many calls up the package's user is, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("theory", "jaxtyping"):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    return level
