"""Local minima of the population loss over all (W, b), for many starts and many problems at once."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.loss.enumeration import active_patterns, max_features
from theory.loss.population import AccuracyWarning, OutputErrors, enumerated_errors, output_errors
from theory.model.problem import Problem
from theory.model.value_units import in_units
from theory.model.values import UNIFORM
from theory.tools.quasi_newton import ROUNDING, minimise

__all__ = [
    "MOST_NODES", "NODES_RTOL", "LocalMinima", "few_nodes", "random_starts", "refine", "revive", "row_errors",
    "search_nodes", "searching_errors",
]  # fmt: skip

# Nodes of the quadrature while searching (more than six features): at least so many, and so many per feature. Losses
# are certified with the full accuracy afterwards.
_SEARCH_NODES, _NODES_PER_FEATURE = 96, 10
# Other laws decay too unlike one another for a number of nodes: every loss is as accurate as this,
_SEARCH_RTOL = 1e-8
# but for few features whose values have a density. There the last digits of outputs with small couplings would take ten
# times as long, and what is cut off changes smoothly from point to point: these nodes lead to the same minima.
MOST_NODES, NODES_RTOL, _FEW = 512, 1e-10, 12
# Several discrete values are listed half by half. Descents take lists that are as accurate as this, in units of the
# zero model's loss: they leave out the same states at all points, so that what remains is as smooth as the loss.
_LISTED = 1e-6
# What rounding does to a loss from fixed nodes, as part of it: 1e-15 to 1e-13, most where features are sparse. Losses
# that are enumerated are known to the last digits.
_NOISE = 3e-14
# A column shorter than this stores nothing.
_DEAD_NORM = 1e-3


@dataclass(frozen=True, eq=False)
class LocalMinima:
    """
    Where searches for minima of the population loss ended.

    Attributes
    ----------
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    loss : ndarray, shape (k,)
        Population losses.
    converged : ndarray of bool, shape (k,)
        Whether the gradient vanishes to the tolerance.
    gradient_norm : ndarray, shape (k,)
        Largest gradient component, in units of the loss of the zero model (W = 0, b = 0) and of the values' size
        (``theory.model.value_units``).
    inverse : ndarray, shape (k, d, d)
        Approximate inverse Hessian in the d = m n + n entries of (W, b), in the same units; with a free decoder in
        those of (W, W_out^T, b).
    W_out : ndarray, shape (k, n, m), or None
        Decoders, where they are free.
    """

    W: Float[ndarray, "k m n"]
    b: Float[ndarray, "k n"]
    loss: Float[ndarray, " k"]
    converged: Bool[ndarray, " k"]
    gradient_norm: Float[ndarray, " k"]
    inverse: Float[ndarray, "k d d"]
    W_out: Float[ndarray, "k n m"] | None = None

    @classmethod
    def joined(cls, parts: Sequence["LocalMinima"]) -> "LocalMinima":
        """Concatenate several searches."""
        lists = ([getattr(part, f.name) for part in parts] for f in fields(cls))
        return cls(*(None if values[0] is None else np.concatenate(values) for values in lists))  # type: ignore[arg-type]

    def at(self, which: Int[ndarray, " some"]) -> "LocalMinima":
        """Select minima by number; repetitions allowed."""
        values = (getattr(self, f.name) for f in fields(self))
        return LocalMinima(*(None if value is None else value[which] for value in values))  # type: ignore[arg-type]

    def replaced(self, which: Int[ndarray, " some"], by: "LocalMinima") -> "LocalMinima":
        """Put other minima in the place of some."""
        result = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, values in result.items():
            if values is not None:
                result[name] = values.copy()
                result[name][which] = getattr(by, name)
        return LocalMinima(**result)


def random_starts(
    problem: Problem, count: int, rng: np.random.Generator
) -> tuple[Float[ndarray, "count m n"], Float[ndarray, "count n"]]:
    """
    Draw starting points for a search.

    Parameters
    ----------
    problem : Problem
        Gives n and m.
    count : int
        How many starts.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    W : ndarray, shape (count, m, n)
        Gaussian columns with norms around 0.8, directions uniform.
    b : ndarray, shape (count, n)
        Biases around zero.
    """
    W = 0.8 * rng.standard_normal((count, problem.m, problem.n)) / np.sqrt(problem.m)
    return W, 0.1 * rng.standard_normal((count, problem.n))


def refine(
    problem: Problem,
    W: Float[ndarray, "k m n"],
    b: Float[ndarray, "k n"],
    tolerance: float = 1e-8,
    iterations: int = 300,
    inverse: Float[ndarray, "k d d"] | None = None,
    W_out: Float[ndarray, "k n m"] | None = None,
    nodes: int | None = None,
) -> LocalMinima:
    """
    Run every start down to a local minimum of its own problem.

    Parameters
    ----------
    problem : Problem
        A batch of k problems (one axis).
    W : ndarray, shape (k, m, n)
        Starting embeddings.
    b : ndarray, shape (k, n)
        Starting biases.
    tolerance : float
        Largest gradient component at the end, in units of the zero model's loss.
    iterations : int
        Most quasi-Newton iterations.
    inverse : ndarray, shape (k, d, d), optional
        What a search nearby learned of the inverse Hessians (``LocalMinima.inverse``).
    W_out : ndarray, shape (k, n, m), optional
        Starting decoders, where the problem's terms make them free; W^T by default.
    nodes : int, optional
        Nodes where ``row_errors`` has a fixed number of them.

    Returns
    -------
    LocalMinima
        One minimum per start, in the same order.
    """
    inner, size = in_units(problem)
    if size != 1:
        minima = refine(inner, W, b / size, tolerance, iterations, inverse, W_out, nodes)
        return replace(minima, b=size * minima.b, loss=size**2 * minima.loss)
    if not problem.terms.plain:
        from theory.optimum.with_terms import refine_with_terms

        return refine_with_terms(problem, W, b, W_out, tolerance, iterations, inverse)
    k, m, n = W.shape
    importance = problem.importance
    scale = np.asarray(problem.zero_loss)
    errors = row_errors(problem, nodes)

    def objective(x: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
        V, c = x[:, : m * n].reshape(-1, m, n), x[:, m * n :]
        weight = importance[which] / scale[which, None]
        loss, dV, dc = errors(V.swapaxes(-1, -2) @ V, c, which).pull_back(V, weight)
        return loss, np.concatenate([dV.reshape(len(x), -1), dc], axis=1)

    noise = _NOISE if search_nodes(problem) or few_nodes(problem) else ROUNDING
    found = minimise(objective, np.concatenate([W.reshape(k, -1), b], axis=1), tolerance, iterations, inverse, noise)
    V, c = found.x[:, : m * n].reshape(k, m, n), found.x[:, m * n :]
    loss = found.value * scale
    if few_nodes(problem) or _few_states(problem):
        loss = (importance * searching_errors(V.swapaxes(-1, -2) @ V, c, problem).value).sum(-1)
    return LocalMinima(
        W=V,
        b=c,
        loss=loss,
        converged=found.converged,
        gradient_norm=np.abs(found.gradient).max(-1),
        inverse=found.inverse,
    )


def row_errors(problem: Problem, nodes: int | None = None) -> Callable[[ndarray, ndarray, ndarray], OutputErrors]:
    """
    Prepare for many evaluations of the loss.

    Parameters
    ----------
    problem : Problem
        A batch of problems (one axis).
    nodes : int, optional
        Nodes where values are uniform and errors are not enumerated; by default at least 96, and 10 per feature.

    Returns
    -------
    callable
        Takes couplings (k, n, n), biases (k, n) and row numbers (k,) of the batch, and returns output errors; exact
        where they are enumerated, else with as many nodes at every point, so that differences mean something.
    """
    problem.plain("the errors of rows of couplings")
    n, values = problem.n, problem.features.values
    if n <= max_features(values):
        probability = problem.features.pattern_probability(active_patterns(n))
        probability = np.broadcast_to(probability, (len(problem.importance), probability.shape[-1]))
        return lambda G, b, which: enumerated_errors(G, b, probability[which], values, problem.activation)
    if few_nodes(problem):
        return lambda G, b, which: output_errors(G, b, problem.take(which), rtol=NODES_RTOL, most_nodes=MOST_NODES)
    if _few_states(problem):
        enough = _LISTED * float(np.min(problem.zero_loss))
        return lambda G, b, which: searching_errors(G, b, problem.take(which), _LISTED, enough)
    count = nodes or search_nodes(problem)
    if count is None:
        return lambda G, b, which: searching_errors(G, b, problem.take(which))
    return lambda G, b, which: output_errors(G, b, problem.take(which), nodes=count)


def search_nodes(problem: Problem) -> int | None:
    """
    Say how many nodes the losses of a search have where their number is fixed.

    Parameters
    ----------
    problem : Problem
        A problem without terms.

    Returns
    -------
    int or None
        At least 96, and 10 per feature; None where losses are enumerated, or integrated to an accuracy.
    """
    n, values = problem.n, problem.features.values
    fixed = problem.terms.plain and n > max_features(values) and values == UNIFORM
    return max(_SEARCH_NODES, _NODES_PER_FEATURE * n) if fixed else None


def few_nodes(problem: Problem) -> bool:
    """
    Say whether a search has few nodes at every point, its losses being computed anew at the end.

    Parameters
    ----------
    problem : Problem
        The problem, with all its terms.

    Returns
    -------
    bool
        True for few features whose values have a density, where losses are integrated to an accuracy.
    """
    n, values, terms = problem.n, problem.features.values, problem.terms
    if n > _FEW or values.atoms or not problem.activation.kinks:
        return False
    return bool(terms.noise or terms.l1) or (n > max_features(values) and values != UNIFORM)


def _few_states(problem: Problem) -> bool:
    """Whether a search lists states half by half, its losses being computed anew at the end."""
    n, values = problem.n, problem.features.values
    return problem.terms.plain and len(values.atoms) > 1 and max_features(values) < n <= _FEW


def searching_errors(
    G: Float[ndarray, "k n n"],
    b: Float[ndarray, "k n"],
    problem: Problem,
    rtol: float = _SEARCH_RTOL,
    enough: float = 0.0,
) -> OutputErrors:
    """
    Compute output errors for a search: a loss known to fewer digits still leads downhill, without a warning.

    Parameters
    ----------
    G : ndarray, shape (k, n, n)
        Couplings.
    b : ndarray, shape (k, n)
        Biases.
    problem : Problem
        A batch of k problems.
    rtol : float
        Relative accuracy to reach.
    enough : float
        Accuracy of the loss that is enough.

    Returns
    -------
    OutputErrors
        Values and gradients.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        return output_errors(G, b, problem, rtol=rtol, enough=enough)


def revive(
    problem: Problem,
    minima: LocalMinima,
    rng: np.random.Generator,
    tolerance: float = 1e-8,
    iterations: int = 300,
) -> LocalMinima:
    """
    Repair dead features and search on.

    A feature with W_i = 0 and b_i < 0 has no gradient, so descent never leaves it, although b_i = E x_i is better
    and a small W_i may be better still.

    Parameters
    ----------
    problem : Problem
        The batch that ``minima`` belong to.
    minima : LocalMinima
        Where a search ended.
    rng : numpy.random.Generator
        Draws the small column that a repaired feature starts with.
    tolerance, iterations : float and int
        Of the search that goes on, as for ``refine``.

    Returns
    -------
    LocalMinima
        The same minima, those with dead features replaced by what their repair led to.
    """
    dead = (np.linalg.norm(minima.W, axis=1) < _DEAD_NORM) & (minima.b < 0)
    ill = np.flatnonzero(dead.any(-1))
    if not len(ill):
        return minima
    W, b = minima.W[ill].copy(), minima.b[ill].copy()
    patients = problem.take(ill)
    mean = np.broadcast_to(patients.features.mean, b.shape)
    small = 0.05 * rng.standard_normal(W.shape)
    W_out = None if minima.W_out is None else minima.W_out[ill]
    b = np.where(dead[ill], mean, b)
    W = np.where(dead[ill][:, None, :], small, W)
    repaired = refine(patients, W, b, tolerance, iterations, minima.inverse[ill], W_out)
    better = repaired.loss < minima.loss[ill]
    return minima.replaced(ill[better], repaired.at(np.flatnonzero(better)))
