"""How features that are not equal share the dimensions: which are stored, how long, with what bias, at which loss.

Features are ordered by what they are worth, importance times density, and divided into groups of nearly equal worth:
geometric groups for a power law. In every group the density is the mean, importances stay as they are, and the stored
features, those that are worth most, have one norm, one bias, and one law of cosines to each group
(theory.frames.group_relaxation).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.frames.group_relaxation import Groups, GroupState, relaxed_groups
from theory.frames.mean_field import CosineLaw
from theory.frames.relaxation import even_starts
from theory.model.activations import RELU
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.value_units import unit_law
from theory.model.values import ValueLaw

__all__ = ["UnevenFrame", "predict_uneven_frame"]

# Groups, and states that are run down to the end after a first look at all.
_GROUPS, _FINISHED = 6, 2
# Strengths of the barrier for the first look, and to the end.
_FIRST, _LAST = (1e-2,), (1e-3, 1e-4, 1e-5)
# Groups that store less than this part of a feature store nothing.
_NOTHING = 0.02


@dataclass(frozen=True, eq=False)
class UnevenFrame:
    """
    A predicted frame of features in groups.

    Attributes
    ----------
    n, m : int
        Features and dimensions.
    sizes : ndarray, shape (a,)
        Features of each group, the most valuable group first.
    density : ndarray, shape (a,)
        Mean density of each group.
    stored : ndarray, shape (a,)
        How many of each group are stored; not rounded.
    norm, bias : ndarray, shape (a,)
        Of stored features; NaN where none is.
    dimensionality : ndarray, shape (a,)
        D_i of stored features, one over the sum of squared cosines to all; NaN where none is.
    loss : float
        Population loss, weighted by importance.
    squared_overlap : float
        Mean squared cosine of two different stored features.

    Examples
    --------
    >>> import theory
    >>> frame = predict_uneven_frame(theory.Problem(n=4, m=2, density=1.0, importance=[1, 0.9, 0.1, 0.1]), groups=2)
    >>> frame.stored.round(3).tolist(), round(frame.loss, 4)  # the linear model's, 0.2 / 12
    ([2.0, 0.0], 0.0167)
    """

    n: int
    m: int
    sizes: Float[ndarray, " a"]
    density: Float[ndarray, " a"]
    stored: Float[ndarray, " a"]
    norm: Float[ndarray, " a"]
    bias: Float[ndarray, " a"]
    dimensionality: Float[ndarray, " a"]
    loss: float
    squared_overlap: float


def predict_uneven_frame(problem: Problem, groups: int = _GROUPS) -> UnevenFrame:
    """
    Predict how independent features of any densities and importances share the dimensions.

    Parameters
    ----------
    problem : Problem
        A single problem of independent features, ReLU outputs and no terms but noise; m >= 2.
    groups : int
        Groups into which features are divided, >= 1; the time grows with their number's fourth power or so.

    Returns
    -------
    UnevenFrame
        The best of several local minima over norms, biases, numbers stored and laws of cosines.

    Raises
    ------
    TypeError
        If the problem is not a Problem.
    ValueError
        If the problem is of another kind, m below 2 or groups below 1.

    Notes
    -----
    An estimate. For given groups and numbers stored no arrangement costs less in which the features of a group have
    equal densities, norms, biases and laws of cosines to every group, provided that the minimum found is the global
    one, and that outputs see denser groups feature by feature, each with its own cosine. Features that differ within
    their group are treated as equal, which may err to either side. A descent ended 11 % above the prediction for a
    power law at n = 400, m = 30; at n = 20, m = 5 predictions are between 3 % too low and 15 % too high
    (docs/derivations.md).
    """
    _check(problem, groups)
    unit, size = unit_law(problem.features.values)
    parts = _grouped(problem, groups, unit, size)
    left = parts.importance * parts.left_out

    def total(found: tuple[GroupState, int]) -> float:
        return found[0].loss + float(left[found[1] :].sum())

    first = [(relaxed_groups(parts.first(count), state, _FIRST), count) for state, count in _start_states(parts)]
    first = sorted(first, key=total)[:_FINISHED]
    best = min(
        ((relaxed_groups(parts.first(count), state, _LAST, first=False), count) for state, count in first), key=total
    )
    return _frame(problem, parts, *best, total(best), size)


def _check(problem: Problem, groups: int) -> None:
    require_problem(problem)
    problem.single("predict_uneven_frame")
    if not problem.features.independent or problem.activation != RELU:
        raise ValueError("predictions of frames are for independent features and ReLU outputs")
    if not replace(problem.terms, noise=0.0).plain:
        raise ValueError("predictions of frames know no terms but noise; leave them out")
    if problem.m < 2:
        raise ValueError("a frame needs at least 2 dimensions")
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ValueError(f"groups must be a whole number of at least 1, got {groups!r}")


def _grouped(problem: Problem, count: int, values: ValueLaw, size: float = 1.0) -> Groups:
    """Divide the range of log worth evenly; the mean density, and importances that keep what features are worth."""
    p, importance = problem.density, problem.importance
    order = np.argsort(-importance * p, kind="stable")
    order = order[importance[order] > 0]
    worth = np.log((importance * p)[order])
    label = np.minimum((count * (worth[0] - worth) / max(worth[0] - worth[-1], 1e-9)).astype(int), count - 1)
    ids = [order[label == k] for k in range(count)]
    ids = [some for some in ids if len(some)]
    density = np.array([p[some].mean() for some in ids])
    weights = [importance[some] * p[some] / mean for some, mean in zip(ids, density, strict=True)]
    return Groups(density, weights, problem.m, values, problem.terms.noise / size)


def _start_states(groups: Groups) -> list[tuple[GroupState, int]]:
    """
    Give states to begin with, all of them laws of real arrangements or of even frames, and how many groups they store.

    As many features as there are dimensions, orthogonal; twice as many, in antipodal pairs; and the most valuable
    groups orthogonal to everything, beside antipodal pairs or an even frame in the dimensions that are left.
    """
    m, n = groups.m, int(groups.sizes.sum())
    ends = np.cumsum(groups.sizes).astype(int).tolist()
    states = [_state(groups, min(number, n), 0, m) for number in (m, 2 * m)]
    for dedicated in (0, *(end for end in ends if end <= m - 2)):
        several = {n, min(n, round(np.sqrt(2.0 * m * max(n, 2 * m))))}
        states += [_state(groups, number, dedicated, m) for number in several if number > 2 * m - dedicated]
        if dedicated:
            states.append(_state(groups, min(2 * m - dedicated, n), dedicated, m))
    return states


def _state(groups: Groups, number: int, dedicated: int, m: int) -> tuple[GroupState, int]:
    """The first features orthogonal to all, the rest of those stored in an even frame of the other dimensions."""
    ends = np.cumsum(groups.sizes)
    count = int(np.searchsorted(ends, number - 1e-9)) + 1
    stored = groups.sizes[:count].copy()
    stored[-1] -= ends[count - 1] - number
    apart = CosineLaw(np.zeros(1), np.ones(1))
    k, d = float(number - dedicated), m - dedicated
    # the last of the laws for up to twice as many features as dimensions are antipodal pairs
    g, b, law = (1.0, 0.0, apart) if k <= d else even_starts(k, d)[-1 if k <= 2 * d else 0]
    alone = ends[:count] <= dedicated
    laws = [apart if alone[a] or alone[c] else law for a, c in groups.first(count).pairs]
    return GroupState(np.where(alone, 1.0, g), np.where(alone, 0.0, b), stored, laws), count


def _frame(problem: Problem, groups: Groups, state: GroupState, count: int, loss: float, size: float) -> UnevenFrame:
    a = len(groups.sizes)
    some = state.stored >= _NOTHING

    def filled(values: ndarray, missing: float = np.nan) -> Float[ndarray, " a"]:
        out = np.full(a, missing)
        out[:count][some] = values[some]
        return out

    square = np.zeros((count, count))
    for (i, j), law in zip(groups.first(count).pairs, state.laws, strict=True):
        square[i, j] = square[j, i] = float(law.weights @ law.cosines**2)
    k = np.where(some, state.stored, 0.0)
    others = np.tile(k, (count, 1))
    others[np.diag_indices(count)] = np.maximum(k - 1, 0)
    total = float(k @ others.sum(1))
    return UnevenFrame(
        n=problem.n,
        m=problem.m,
        sizes=groups.sizes,
        density=groups.density,
        stored=filled(state.stored, 0.0),
        norm=filled(np.sqrt(state.coupling)),
        bias=filled(size * state.bias),
        dimensionality=filled(1 / (1 + (square * others).sum(1))),
        loss=size**2 * float(loss),
        squared_overlap=float(k @ (square * others).sum(1)) / total if total > 0 else 0.0,
    )
