"""Which features are worth storing, and which share a dimension: the pair criterion.

Two features i and j of densities p and importances I compete for one dimension. Ideally stored, features cost

    j left out, i dedicated:    I_j V_j ,    V = p/3 - p^2/4 (the variance of x_j)
    i and j antipodal:          (I_i + I_j) p_i p_j / 6 ,

because an antipodal pair errs only when both are active, and then by min(x_i, x_j) in each output. Representing j
beside i therefore pays if and only if

    (I_i + I_j) p_i < I_j (2 - 3 p_j / 2) .

A dense partner is expensive (p_i on the left), and what a feature has to offer, I_j V_j, falls again when it is active
nearly always (V is largest at p = 2/3): this is why features of high density and equal importance may not be learned.
For more features and dimensions the same losses make an assignment problem: every dimension holds one feature, an
antipodal pair, or nothing, and ``best_pairing`` finds the cheapest way exactly.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.features import density_array
from theory.model.problem import Problem
from theory.model.requirements import require_problem

__all__ = ["Pairing", "best_pairing", "pair_pays"]

_VALUE_LAW = "the criterion holds for independent features with uniform values"


def pair_pays(
    density: ArrayLike, importance: ArrayLike, partner_density: ArrayLike, partner_importance: ArrayLike
) -> Bool[ndarray, "..."] | bool:
    """
    Say whether representing a feature antipodally beside a partner beats leaving it out, ideally stored.

    Parameters
    ----------
    density : array_like
        Density p_j of the feature, in (0, 1].
    importance : array_like
        Its importance I_j.
    partner_density : array_like
        Density p_i of the partner, which has the dimension to itself otherwise.
    partner_importance : array_like
        Its importance I_i.

    Returns
    -------
    bool or ndarray of bool
        (I_i + I_j) p_i < I_j (2 - 3 p_j / 2).

    Raises
    ------
    ValueError
        If a density lies outside (0, 1].

    Examples
    --------
    >>> pair_pays(0.5, 1.0, 0.5, 1.0), pair_pays(0.6, 1.0, 0.6, 1.0)  # equal features: p < 4/7
    (True, False)
    """
    p_j, p_i = density_array(density), density_array(partner_density)
    I_j, I_i = np.asarray(importance, dtype=float), np.asarray(partner_importance, dtype=float)
    pays = (I_i + I_j) * p_i < I_j * (2 - 1.5 * p_j)
    return pays if pays.ndim else bool(pays)


@dataclass(frozen=True)
class Pairing:
    """
    A way to place features on dimensions, ideally stored.

    Attributes
    ----------
    dedicated : tuple of int
        Features with a dimension of their own.
    pairs : tuple of (int, int)
        Features that share a dimension antipodally.
    unrepresented : tuple of int
        Features left out.
    loss : float
        Population loss of the idealised model.

    Examples
    --------
    >>> import theory
    >>> theory.best_pairing(theory.Problem(n=3, m=2, density=0.05)).pairs
    ((0, 2),)
    """

    dedicated: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    unrepresented: tuple[int, ...]
    loss: float


def best_pairing(problem: Problem) -> Pairing:
    """
    Find the cheapest way to store features one or two to a dimension.

    Parameters
    ----------
    problem : Problem
        A single problem with independent features of uniform values.

    Returns
    -------
    Pairing
        The exact minimum over all placements of dedicated features and antipodal pairs on m dimensions.

    Raises
    ------
    ValueError
        If the problem is a batch, or its features are not independent with uniform values.

    Notes
    -----
    Solved as a mixed-integer linear programme: one binary variable per feature (dedicated) and per pair.

    Examples
    --------
    >>> best_pairing(Problem(n=3, m=2, density=0.2, importance=[1.0, 0.9, 0.5])).dedicated
    (0,)
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    require_problem(problem)
    problem.plain("best_pairing")
    if problem.batch_shape or not problem.textbook:
        raise ValueError(f"best_pairing takes a single problem, and {_VALUE_LAW}")
    n, p, importance = problem.n, problem.density, problem.importance
    left_out = importance * problem.features.variance
    first, second = np.triu_indices(n, 1)
    pair_cost = (importance[first] + importance[second]) * p[first] * p[second] / 6
    saving = np.concatenate([left_out, left_out[first] + left_out[second] - pair_cost])
    membership = np.zeros((n, len(saving)))
    membership[np.arange(n), np.arange(n)] = 1
    membership[first, n + np.arange(len(first))] = 1
    membership[second, n + np.arange(len(first))] = 1
    solution = milp(
        -saving / max(float(saving.max()), np.finfo(float).tiny),  # the solver's tolerances are absolute: 1e-7
        constraints=[
            LinearConstraint(membership, ub=np.ones(n)),
            LinearConstraint(np.ones((1, len(saving))), ub=problem.m),
        ],
        integrality=np.ones(len(saving), dtype=int),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0},  # by default the solver stops within 1e-4 of the optimum
    )
    if solution.x is None:
        raise RuntimeError(f"the assignment problem was not solved: {solution.message}")
    chosen = np.flatnonzero(solution.x > 0.5)
    pairs = tuple((int(first[k - n]), int(second[k - n])) for k in chosen if k >= n)
    dedicated = tuple(int(k) for k in chosen if k < n)
    stored = {*dedicated, *(j for pair in pairs for j in pair)}
    return Pairing(
        dedicated=dedicated,
        pairs=pairs,
        unrepresented=tuple(j for j in range(n) if j not in stored),
        loss=float(left_out.sum() - saving[chosen].sum()),
    )
