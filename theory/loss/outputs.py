"""Expected squared errors of all outputs as functions of couplings and biases, and their gradients.

Four routes, one answer. The linear model needs moments only. Activations with a kink are evaluated by enumerating
active sets (theory.loss.enumeration: few features, machine precision), by listing the states of discrete values half by
half (theory.loss.by_halves: where that is quicker), or from characteristic functions (theory.loss.engine: any number of
features, to a requested relative accuracy, with an error that holds). With noise on the hidden layer the latter is the
route whatever the number of features.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss import enumeration
from theory.loss.accuracy import warn_of_misses
from theory.loss.by_halves import rows_by_halves
from theory.loss.quadrature import quadrature, reach
from theory.model.activations import RELU, Activation, activation_of
from theory.model.features import FeatureDistribution
from theory.model.problem import Problem
from theory.model.values import ValueLaw
from theory.tools.memory import keep_freed_memory
from theory.tools.threads import own_threads

__all__ = [
    "ENUMERATION_ROUNDING", "Model", "OutputErrors", "alike", "distinct", "enumerated_errors", "output_errors",
    "output_values",
]  # fmt: skip

if TYPE_CHECKING:
    from theory.loss.engine.rows import Features

# An output activation, or the name of one that the package has.
Model = Activation | Literal["relu", "linear"]

# Couplings in a call of the engine from which on threads pay.
_THREADED = 500_000
# Rounding of an enumeration, in units of the largest square that is averaged: a few operations a state, weights <= 1.
ENUMERATION_ROUNDING = 16 * np.finfo(float).eps


keep_freed_memory()


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
    dnoise : ndarray, shape (*batch, n), or None
        Derivative of ``value[i]`` in the variance of the noise that is added to z_i; None without noise.
    """

    value: Float[ndarray, "*batch n"]
    dG: Float[ndarray, "*batch n n"]
    db: Float[ndarray, "*batch n"]
    error: Float[ndarray, "*batch n"] | None = None
    dnoise: Float[ndarray, "*batch n"] | None = None

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


def output_errors(
    G: Float[ndarray, "*batch n n"],
    b: Float[ndarray, "*batch n"],
    problem: Problem,
    model: Model | None = None,
    rtol: float = 1e-7,
    nodes: int | None = None,
    noise: Float[ndarray, "*batch n"] | None = None,
    most_nodes: int | None = None,
    enough: float = 0.0,
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
    noise : ndarray, shape (*batch, n), optional
        Variance of Gaussian noise that is added to z_i.
    most_nodes : int, optional
        At most so many nodes where errors are integrated to an accuracy, which is then missed without a warning: losses
        of neighbouring points differ smoothly.
    enough : float
        Accuracy of the weighted sum that is enough where errors are integrated to an accuracy, shared by all outputs.

    Returns
    -------
    OutputErrors
        Values and gradients.

    Raises
    ------
    ValueError
        If the model is unknown, the problem has noise and its variances are not given, or noise meets fixed nodes.
    """
    if problem.terms.noise and noise is None:
        raise ValueError("the problem's hidden layer is noisy: give the variance of the noise at every output")
    activation = problem.activation if model is None else activation_of(model)
    activation.require_straight()
    if nodes is None and not 0 < rtol < 1:
        raise ValueError(f"rtol must lie in (0, 1), got {rtol!r}")
    if not activation.kinks:
        return _straight(G, b, problem, activation, noise)
    batch, n, values = b.shape[:-1], problem.n, problem.features.values
    G, b = G.reshape(-1, n, n), b.reshape(-1, n)
    if noise is not None:
        if nodes is not None:
            raise ValueError("noise is integrated to an accuracy, not with a fixed number of nodes")
        errors = _integrated(G, b, problem, batch, rtol, activation, noise.reshape(-1, n), most_nodes, enough)
    elif nodes is None and n <= enumeration.max_features(values):
        probability = _flat(problem.features.pattern_probability(enumeration.active_patterns(n)), batch)
        errors = enumerated_errors(G, b, probability, values, activation)
        errors = replace(errors, error=ENUMERATION_ROUNDING * (values.square + reach(G, b, problem.features) ** 2))
    elif nodes is not None:
        features, importance = problem.features.reshaped(batch), _flat(problem.importance, batch)
        found = quadrature(G, b, features, importance, nodes=nodes, activation=activation)
        errors = OutputErrors(found.value, found.dG, found.db)
    else:
        errors = _by_halves(G, b, problem, batch, rtol, activation, most_nodes, enough) or _integrated(
            G, b, problem, batch, rtol, activation, None, most_nodes, enough
        )
    miss, slope = (None if part is None else part.reshape(*batch, n) for part in (errors.error, errors.dnoise))
    return OutputErrors(
        errors.value.reshape(*batch, n), errors.dG.reshape(*batch, n, n), errors.db.reshape(*batch, n), miss, slope
    )


def _straight(
    G: ndarray, b: ndarray, problem: Problem, activation: Activation, noise: ndarray | None = None
) -> OutputErrors:
    """Moments alone: x - x' = R x - a b with R = 1 - a G, a the activation's slope."""
    slope = activation.left
    G, b = slope * G, slope * b
    R = np.eye(problem.n) - G
    moment, mean = problem.features.second_moment, problem.features.mean
    R_moment = R @ moment
    R_mean = (R @ mean[..., None])[..., 0]
    value = (R_moment * R).sum(-1) - 2 * b * R_mean + b**2
    dG = -2 * slope * (R_moment - b[..., None] * mean[..., None, :])
    value, db = np.maximum(value, 0.0), 2 * slope * (b - R_mean)
    if noise is None:
        return OutputErrors(value, dG, db)
    return OutputErrors(value + slope**2 * noise, dG, db, dnoise=np.full_like(value, slope**2))


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
    c, weight = _own_first(G, probability)
    value, dc, db = enumeration.expected_squared_error(c, b.reshape(-1), weight, values, activation)
    dG = np.empty_like(G)
    dG[:, np.arange(n)[:, None], enumeration.own_first(n)[0]] = dc.reshape(-1, n, n)
    return OutputErrors(value.reshape(-1, n), dG, db.reshape(-1, n))


def output_values(
    G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"], problem: Problem, rtol: float = 1e-7
) -> Float[ndarray, "k n"]:
    """
    Compute the expected squared error of every output, which takes half as long without the gradient where enumerated.

    Parameters
    ----------
    G : ndarray, shape (k, n, n)
        Couplings W^T W.
    b : ndarray, shape (k, n)
        Output biases.
    problem : Problem
        A single problem without noise, or a batch of k.
    rtol : float
        Relative accuracy of the weighted sum where quadrature is needed.

    Returns
    -------
    ndarray, shape (k, n)
        E (x_i - x'_i)^2.
    """
    n, values = problem.n, problem.features.values
    if not problem.activation.kinks or n > enumeration.max_features(values):
        return output_errors(G, b, problem, rtol=rtol).value
    probability = _flat(problem.features.pattern_probability(enumeration.active_patterns(n)), b.shape[:1])
    c, weight = _own_first(G, probability)
    return enumeration.expected_value(c, b.reshape(-1), weight, values, problem.activation).reshape(-1, n)


def _own_first(
    G: Float[ndarray, "k n n"], probability: Float[ndarray, "k patterns"]
) -> tuple[Float[ndarray, "rows n"], Float[ndarray, "rows patterns"]]:
    """Couplings of every output with its own feature first, and the patterns' probabilities in that order."""
    n = G.shape[-1]
    order, swapped_patterns = enumeration.own_first(n)
    return G[:, np.arange(n)[:, None], order].reshape(-1, n), probability[:, swapped_patterns].reshape(-1, 2**n)


def _by_halves(
    G: Float[ndarray, "k n n"],
    b: Float[ndarray, "k n"],
    problem: Problem,
    batch: tuple[int, ...],
    rtol: float,
    activation: Activation,
    most_nodes: int | None,
    enough: float,
) -> OutputErrors | None:
    """List states half by half, if that is quicker for all models; warn where the loss misses its accuracy."""
    k, n = b.shape
    features, importance = problem.features.reshaped(batch), _flat(problem.importance, batch)
    value, dG, db, error = np.empty((k, n)), np.empty((k, n, n)), np.empty((k, n)), np.empty((k, n))
    share = _share(enough, importance, k, n)
    for members, one in distinct(features, k):
        own = np.tile(np.arange(n), len(members))
        rows = G[members].reshape(-1, n), b[members].ravel(), own
        found = rows_by_halves(*rows, one, activation, rtol, share[members].ravel())
        if found is None:
            return None
        value[members], db[members] = found.value.reshape(-1, n), found.db.reshape(-1, n)
        dG[members] = found.dG.reshape(-1, n, n)
        error[members] = (found.truncation + found.rounding).reshape(-1, n)
    errors = OutputErrors(value, dG, db, error)
    return errors if most_nodes is not None else _warned(errors, features, importance, rtol)


def _share(enough: float, importance: Float[ndarray, "#k n"], k: int, n: int) -> Float[ndarray, "k n"]:
    """Share of every output in the accuracy of the weighted sum that is enough."""
    return np.asarray(enough / (n * np.maximum(np.broadcast_to(importance, (k, n)), 1e-300)))


def _warned(errors: OutputErrors, features: FeatureDistribution, importance: ndarray, rtol: float) -> OutputErrors:
    """Warn where a loss is not known to its accuracy."""
    unit = (importance * features.value_square * features.feature_density).sum(-1)
    warn_of_misses((importance * errors.value).sum(-1), (importance * errors.error).sum(-1), unit, rtol)
    return errors


def _integrated(
    G: Float[ndarray, "k n n"],
    b: Float[ndarray, "k n"],
    problem: Problem,
    batch: tuple[int, ...],
    rtol: float,
    activation: Activation,
    noise: Float[ndarray, "k n"] | None = None,
    most_nodes: int | None = None,
    enough: float = 0.0,
) -> OutputErrors:
    """Integrate every output to its own accuracy, or its share of what is enough; warn where the loss misses it."""
    from theory.loss.engine.activation import squared_error  # few features, the usual case, do not wait for these
    from theory.loss.engine.engine import MAX_NODES, row_errors
    from theory.loss.engine.rows import Rows

    k, n = b.shape
    features = problem.features.reshaped(batch)
    value, dG, db, error = np.empty((k, n)), np.empty((k, n, n)), np.empty((k, n)), np.empty((k, n))
    dnoise = None if noise is None else np.empty((k, n))
    importance = _flat(problem.importance, batch)
    share = _share(enough, importance, k, n)
    for members, law in alike(features, k, n):
        rows = Rows(
            G[members].reshape(-1, n),
            b[members].ravel(),
            np.tile(np.arange(n), len(members)),
            np.zeros(len(members) * n) if noise is None else noise[members].ravel(),
            enough=share[members].ravel(),
        )
        threads = own_threads() if rows.G.size > _THREADED else 1
        found = row_errors(rows, law, squared_error(activation), rtol, most_nodes or MAX_NODES, threads)
        value[members], db[members] = found.value.reshape(-1, n), found.db.reshape(-1, n)
        dG[members], error[members] = found.dG.reshape(-1, n, n), found.error.reshape(-1, n)
        if dnoise is not None:
            dnoise[members] = found.dnoise.reshape(-1, n)
    errors = OutputErrors(value, dG, db, error, dnoise)
    return errors if most_nodes is not None else _warned(errors, features, importance, rtol)


def alike(features: FeatureDistribution, k: int, rows: int) -> "list[tuple[ndarray, Features]]":
    """
    Group the models of a batch by their distribution of features; few independent features need no groups.

    Parameters
    ----------
    features : FeatureDistribution
        One distribution, or a batch of them with one axis.
    k : int
        Models.
    rows : int
        Rows of each model that the engine will see.

    Returns
    -------
    list of (ndarray of int, Features)
        Numbers of models, and what feeds them.
    """
    from theory.loss.engine.bulk import LEAST_FEATURES
    from theory.loss.engine.rows import Features

    if features.batch_shape and features.independent and features.n < LEAST_FEATURES:
        return [(np.arange(k), Features(features.values, np.repeat(features.feature_density, rows, axis=0)))]
    return [(members, Features.of(one)) for members, one in distinct(features, k)]


def distinct(features: FeatureDistribution, k: int) -> list[tuple[ndarray, FeatureDistribution]]:
    """
    Group the models of a batch by their distribution of features.

    Parameters
    ----------
    features : FeatureDistribution
        One distribution, or a batch of them with one axis.
    k : int
        Models.

    Returns
    -------
    list of (ndarray of int, FeatureDistribution)
        Numbers of models, and the single distribution that they have.
    """
    if not features.batch_shape:
        return [(np.arange(k), features)]
    _, first, group = np.unique(features.density, axis=0, return_index=True, return_inverse=True)
    return [
        (np.flatnonzero(group.ravel() == g), features.with_density(features.density[place]))
        for g, place in enumerate(first)
    ]
