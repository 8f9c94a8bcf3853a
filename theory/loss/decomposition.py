"""What a loss is made of: each feature's own error, interference pair by pair, and what takes three or more features.

ReLU model. Let F_i({i}) be output i's error if feature i were the only one, F_i({i, j}) if only i and j were present
(the others switched off), and F_i(all) the true one. Then, without remainder,

    F_i(all) = F_i({i})  +  sum_j [F_i({i, j}) - F_i({i})]  +  collective_i .
               own error    interference of j with i            effects of three or more features

Linear model. With independent features the errors of the centred features add, so that Saxe's form is exact:

    F_i(all) = (1 - g_ii)^2 Var x_i + sum_j g_ij^2 Var x_j + (b_i - E[x_i - sum_j g_ij x_j])^2 ,

and for dependent features the covariances between different j make the collective part.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss import enumeration
from theory.loss.by_count import errors_by_count
from theory.loss.one_sparse import errors_alone
from theory.loss.population import Model, output_errors, population_loss
from theory.model.activations import Activation, activation_of
from theory.model.features import Independent
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.value_units import in_units
from theory.model.values import ValueLaw

__all__ = ["Decomposition", "by_active_features", "decompose"]

# Up to so many features active sets are enumerated (3^n states); up to so many, theory.loss.by_count tells all numbers
# of active features apart (seconds), beyond that only none, one and more.
_MAX_PATTERNS, _MAX_COUNTED = 10, 100


@dataclass(frozen=True, eq=False)
class Decomposition:
    """
    A population loss in parts; ``own_error``, ``interference``, ``collective`` and ``bias_miss`` sum to it.

    Attributes
    ----------
    loss : float
        The population loss.
    own_error : ndarray, shape (n,)
        I_i times the error of output i if nothing interfered: the feature-benefit term of the literature,
        I_i (1 - |W_i|^2)^2 times a moment in the linear case.
    interference : ndarray, shape (n, n)
        Entry (i, j): what the presence of feature j adds to the error of output i, weighted by I_i; 0 on the
        diagonal. Negative where it helps.
    collective : ndarray, shape (n,)
        What only three or more features together explain (ReLU model), or covariances (linear model).
    bias_miss : ndarray, shape (n,)
        Linear model: I_i (b_i - best bias)^2; 0 for the ReLU model, whose bias belongs to every part.
    benefit : ndarray, shape (n,)
        What representing feature i saves: I_i Var x_i, the error of a feature that is not represented but has the
        best bias, less ``own_error``. Not a part of the sum.
    by_active : ndarray, shape (k,)
        The loss by number of active features, 0, 1, 2, ... n; with more than a hundred features, or values with heavy
        tails, 0, 1 and more.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> parts = theory.decompose([[1.0, -1.0]], [0.0, 0.0], problem)
    >>> [round(float(x), 6) for x in parts.by_active]
    [0.0, 0.0, 0.003333]
    """

    loss: float
    own_error: Float[ndarray, " n"]
    interference: Float[ndarray, "n n"]
    collective: Float[ndarray, " n"]
    bias_miss: Float[ndarray, " n"]
    benefit: Float[ndarray, " n"]
    by_active: Float[ndarray, " k"]


def decompose(W: ArrayLike, b: ArrayLike, problem: Problem, model: Model | None = None) -> Decomposition:
    """
    Split a population loss into named parts that sum to it exactly.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output bias.
    problem : Problem
        A single problem.
    model : Activation or {"relu", "linear"}, optional
        The output activation; by default the problem's own.

    Returns
    -------
    Decomposition
        The parts, weighted by importance.

    Raises
    ------
    ValueError
        If shapes do not fit, or a batch is given.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Mathematical Understanding"; Saxe et al. 2013.

    Examples
    --------
    >>> from theory import Problem
    >>> parts = decompose([[1.0, -1.0]], [0.0, 0.0], Problem(n=2, m=1, density=0.1))
    >>> bool(np.isclose(parts.own_error.sum() + parts.interference.sum(), parts.loss))
    True
    """
    require_problem(problem)
    problem.plain("decompose")
    W, b = problem.checked(W, b)
    if b.ndim != 1:
        raise ValueError(f"decompose takes a single problem and model, got a batch of shape {b.shape[:-1]}")
    inner, size = in_units(problem)
    if size != 1:
        parts = decompose(W, b / size, inner, model)
        return Decomposition(*(size**2 * getattr(parts, part.name) for part in fields(parts)))
    activation = problem.activation if model is None else activation_of(model)
    own, pairs, bias_miss, total = parts_of_couplings(W.T @ W, b, problem, activation)
    importance, variance = problem.importance, problem.features.variance
    return Decomposition(
        loss=float(importance @ total),
        own_error=importance * own,
        interference=importance[:, None] * pairs,
        collective=importance * (total - own - pairs.sum(1) - bias_miss),
        bias_miss=importance * bias_miss,
        benefit=importance * (variance - own),
        by_active=by_active_features(W, b, problem, activation),
    )


def parts_of_couplings(
    G: Float[ndarray, "n n"], b: Float[ndarray, " n"], problem: Problem, activation: Activation
) -> tuple[Float[ndarray, " n"], Float[ndarray, "n n"], Float[ndarray, " n"], Float[ndarray, " n"]]:
    """
    Split the errors of outputs with any couplings, such as those of a decoder of its own.

    Parameters
    ----------
    G : ndarray, shape (n, n)
        Couplings W_out W; output i reads row i.
    b : ndarray, shape (n,)
        Output biases.
    problem : Problem
        A single problem without terms.
    activation : Activation
        Output activation.

    Returns
    -------
    own : ndarray, shape (n,)
        Error of every output with its own feature alone, not weighted by importance.
    pairs : ndarray, shape (n, n)
        What feature j adds to the error of output i.
    bias_miss : ndarray, shape (n,)
        What the bias of a linear model misses.
    total : ndarray, shape (n,)
        Errors of the outputs.
    """
    total = output_errors(G, b, problem, activation).value
    slope = activation.left
    parts = _bent_parts(G, b, problem, activation) if activation.kinks else _linear_parts(slope * G, slope * b, problem)
    return *parts, total


def _bent_parts(G: ndarray, b: ndarray, problem: Problem, activation: Activation) -> tuple[ndarray, ndarray, ndarray]:
    """Errors of every output with its own feature alone, and with one other feature at a time."""
    features, n = problem.features, problem.n
    density, pair = features.feature_density, features.pair_activity()
    own = np.arange(n)
    silent, alone = activation.value(b) ** 2, errors_alone(G, b, features.values, activation)[0]
    single = density * alone[own, own] + (1 - density) * silent
    both = (1 - density[:, None] - density + pair) * silent[:, None] + (density[:, None] - pair) * alone[own, own][
        :, None
    ]
    both += (density - pair) * alone + pair * _errors_together(G, b, features.values, activation)
    pairs = both - single[:, None]
    pairs[own, own] = 0.0
    return single, pairs, np.zeros(n)


def _errors_together(G: ndarray, b: ndarray, values: ValueLaw, activation: Activation) -> Float[ndarray, "n n"]:
    """E[(x_i - f(z_i))^2 | i and j alone are active] for j other than i."""
    n = len(b)
    couplings = np.stack([np.broadcast_to(np.diag(G)[:, None], (n, n)), G], axis=-1).reshape(-1, 2)
    bias = np.repeat(b, n)
    if values.box is not None:
        return enumeration.squared_errors(couplings, bias, values, activation)[:, -1].reshape(n, n)
    always = Problem(m=2, features=Independent(np.ones(2), values), activation=activation)
    rows = np.stack([couplings, couplings[:, ::-1]], axis=1)  # the second output is not looked at
    return output_errors(rows, np.stack([bias, bias], axis=1), always).value[:, 0].reshape(n, n)


def _linear_parts(G: ndarray, b: ndarray, problem: Problem) -> tuple[ndarray, ndarray, ndarray]:
    """Saxe's form: centred features contribute one by one."""
    R = np.eye(problem.n) - G
    mean = problem.features.mean
    pairs = R**2 * problem.features.variance
    own = np.diagonal(pairs).copy()
    np.fill_diagonal(pairs, 0.0)
    return own, pairs, (b - R @ mean) ** 2


def by_active_features(
    W: ArrayLike, b: ArrayLike, problem: Problem, model: Model | None = None
) -> Float[ndarray, " k"]:
    """
    Split a population loss by the number of active features.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output bias.
    problem : Problem
        A single problem.
    model : Activation or {"relu", "linear"}, optional
        The output activation; by default the problem's own.

    Returns
    -------
    ndarray, shape (n + 1,) or (3,)
        E[loss; k features active] for k = 0 ... n up to a hundred features; for more, and where values have heavy
        tails, k = 0, k = 1 and the rest.

    Notes
    -----
    L = sum_k L_k, where L_k sums over active sets of size k, with weights p^k (1-p)^(n-k) if all densities are p.
    """
    problem.plain("by_active_features")
    W, b = problem.checked(W, b)
    inner, size = in_units(problem)
    if size != 1:
        return size**2 * by_active_features(W, b / size, inner, model)
    activation = problem.activation if model is None else activation_of(model)
    G, n, values = W.T @ W, problem.n, problem.features.values
    listed = n <= _MAX_PATTERNS and (values.box is not None or not activation.kinks)
    patterns = enumeration.active_patterns(n) if listed else _few_active(n)
    probability = problem.features.pattern_probability(patterns)
    if not activation.kinks:
        activation.require_straight()
        errors = _linear_errors(activation.left * G, activation.left * b, patterns, problem)
    elif listed:
        order, swapped = enumeration.own_first(n)
        own = np.arange(n)[:, None]
        errors = np.take_along_axis(enumeration.squared_errors(G[own, order], b, values, activation), swapped, axis=1)
    else:
        errors = np.column_stack([activation.value(b) ** 2, errors_alone(G, b, values, activation)[0]])
    losses = probability * (problem.importance @ errors)
    if listed:
        return np.bincount(patterns.sum(1), weights=losses, minlength=n + 1)
    if n <= _MAX_COUNTED and not values.heavy:
        by_count = problem.importance @ errors_by_count(G, b, problem.features, activation)
        by_count[0], by_count[1] = losses[0], losses[1:].sum()
        return by_count
    total = float(population_loss(W, b, problem, activation))
    return np.array([losses[0], losses[1:].sum(), total - losses.sum()])


def _few_active(n: int) -> ndarray:
    """No or one active feature."""
    return np.vstack([np.zeros((1, n), dtype=bool), np.eye(n, dtype=bool)])


def _linear_errors(G: ndarray, b: ndarray, patterns: ndarray, problem: Problem) -> Float[ndarray, "n patterns"]:
    """Errors of the linear model given the active features, whose values are independent."""
    R = np.eye(problem.n) - G
    mean = problem.features.value_mean
    spread = problem.features.value_square - mean**2
    active = patterns.astype(float)
    return (mean * R @ active.T - b[:, None]) ** 2 + spread * R**2 @ active.T
