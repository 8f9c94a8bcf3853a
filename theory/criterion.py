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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.command import Parser, count, non_negative_count, progress, run_command
from theory.features import Independent, density_array
from theory.problem import Problem
from theory.search import random_starts, refine, revive

__all__ = ["Agreement", "Pairing", "best_pairing", "check_criterion", "main", "optimised_pair_pays", "pair_pays"]

_VALUE_LAW = "the criterion holds for independent features with uniform values"
# A feature counts as represented from this norm on: the ideal ones have 1, optimised ones rarely less than 0.5.
_REPRESENTED = 0.1
_COMMAND = "python -m theory.criterion"
_BATCH = 1000


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


def optimised_pair_pays(
    density: ArrayLike, importance: ArrayLike, partner_density: ArrayLike, partner_importance: ArrayLike
) -> Bool[ndarray, "..."] | bool:
    """
    Say the same of optimised norms and biases: does the exact optimum of both in one dimension store the feature?

    Parameters
    ----------
    density, importance, partner_density, partner_importance : array_like
        As for ``pair_pays``; broadcast together.

    Returns
    -------
    bool or ndarray of bool
        Whether the global minimum over all (W, b) of the two-feature problem represents the feature.

    Raises
    ------
    ValueError
        If a density lies outside (0, 1].
    """
    p_i, p_j = density_array(partner_density), density_array(density)
    arrays = np.broadcast_arrays(p_i, p_j, np.asarray(partner_importance, float), np.asarray(importance, float))
    shape = arrays[0].shape
    p = np.stack([arrays[0].ravel(), arrays[1].ravel()], axis=1)
    weight = np.stack([arrays[2].ravel(), arrays[3].ravel()], axis=1)
    W, _ = _global_optima(Problem(m=1, density=p, importance=weight), starts=12, seed=0)
    pays = (np.abs(W[:, 0, 1]) > _REPRESENTED).reshape(shape)
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
    >>> best_pairing(Problem(n=3, m=2, density=0.2, importance=[1.0, 1.0, 0.5])).dedicated
    (0,)
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    if problem.batch_shape or not isinstance(problem.features, Independent) or problem.features.values != "uniform":
        raise ValueError(f"best_pairing takes a single problem, and {_VALUE_LAW}")
    n, p, importance = problem.n, problem.density, problem.importance
    left_out = importance * (p / 3 - p**2 / 4)
    first, second = np.triu_indices(n, 1)
    pair_cost = (importance[first] + importance[second]) * p[first] * p[second] / 6
    saving = np.concatenate([left_out, left_out[first] + left_out[second] - pair_cost])
    membership = np.zeros((n, len(saving)))
    membership[np.arange(n), np.arange(n)] = 1
    membership[first, n + np.arange(len(first))] = 1
    membership[second, n + np.arange(len(first))] = 1
    solution = milp(
        -saving,
        constraints=[
            LinearConstraint(membership, ub=np.ones(n)),
            LinearConstraint(np.ones((1, len(saving))), ub=problem.m),
        ],
        integrality=np.ones(len(saving), dtype=int),
        bounds=Bounds(0, 1),
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


def _global_optima(problem: Problem, starts: int, seed: int) -> tuple[Float[ndarray, "k m n"], Float[ndarray, " k"]]:
    """Best of many starts for every problem of a batch: the ideal pairing's embedding, and random ones."""
    rng = np.random.default_rng(seed)
    k, n, m = len(problem.importance), problem.n, problem.m
    W, b = (a.reshape(k, starts, *a.shape[1:]) for a in random_starts(problem, k * starts, rng))
    for row in range(k):
        single = Problem(m=m, density=problem.density[row], importance=problem.importance[row])
        pairing = best_pairing(single)
        seeded = np.zeros((m, n))
        for d, members in enumerate([*((i,) for i in pairing.dedicated), *pairing.pairs]):
            seeded[d, list(members)] = (1.0, -1.0)[: len(members)]
        W[row, 0] = seeded + 0.02 * rng.standard_normal((m, n))
        b[row, 0] = np.where(seeded.any(0), 0.0, problem.features.mean[row])
    W, b = W.reshape(-1, m, n), b.reshape(-1, n)
    rows = np.repeat(np.arange(k), starts)
    batch = Problem(m=m, density=problem.density[rows], importance=problem.importance[rows])
    found = revive(batch, refine(batch, W, b, tolerance=1e-6), rng)
    losses = found.loss.reshape(k, starts)
    best = losses.argmin(1)
    return found.W.reshape(k, starts, m, n)[np.arange(k), best], losses.min(1)


@dataclass(frozen=True)
class Agreement:
    """
    How often the criterion decides as the exact optimum does.

    Attributes
    ----------
    features : float
        Share of features for which being represented is predicted rightly.
    problems : float
        Share of problems for which it is, for all features.
    examined : int
        Number of problems.
    """

    features: float
    problems: float
    examined: int


def check_criterion(n: int, m: int, problems: int = 200, starts: int = 30, seed: int = 0) -> Agreement:
    """
    Compare the criterion with exact optima of random problems.

    Parameters
    ----------
    n : int
        Features, 2 to 6.
    m : int
        Dimensions, below n.
    problems : int
        How many random problems: densities log-uniform in [0.01, 1], importances log-uniform in [0.1, 1].
    starts : int
        Starts of the search for each problem's global optimum.
    seed : int
        Seed of the problems and of the search.

    Returns
    -------
    Agreement
        Shares of right decisions.

    Raises
    ------
    ValueError
        If n or m is out of range.
    """
    if not 2 <= n <= 6 or not 1 <= m < n:
        raise ValueError(f"the check needs 2 <= n <= 6 and 1 <= m < n, got n = {n}, m = {m}")
    rng = np.random.default_rng(seed)
    p, weight = 10 ** rng.uniform(-2, 0, (problems, n)), 10 ** rng.uniform(-1, 0, (problems, n))
    right = np.empty((problems, n), dtype=bool)
    size = max(1, _BATCH // starts)
    for start in progress(range(0, problems, size), total=-(-problems // size), label="problems"):
        rows = slice(start, start + size)
        W, _ = _global_optima(Problem(m=m, density=p[rows], importance=weight[rows]), starts, seed + start)
        represented = np.linalg.norm(W, axis=1) > _REPRESENTED
        for k, stored in enumerate(represented, start=start):
            left_out = best_pairing(Problem(m=m, density=p[k], importance=weight[k])).unrepresented
            right[k] = stored == ~np.isin(np.arange(n), left_out)
    return Agreement(float(right.mean()), float(right.all(1).mean()), problems)


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser("How often the pair criterion decides as the exact optimum of random problems does.", prog=_COMMAND)
    parser.add_argument("--n", type=count, default=3, help="features, 2 to 6")
    parser.add_argument("--m", type=count, default=2, help="hidden dimensions, below n")
    parser.add_argument("--problems", type=count, default=200, help="number of random problems")
    parser.add_argument("--starts", type=count, default=30, help="starts of the search per problem")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of problems and search")
    options = parser.parse_args(argv)
    agreement = check_criterion(options.n, options.m, options.problems, options.starts, options.seed)
    print(  # noqa: T201
        f"n = {options.n}, m = {options.m}: {agreement.features:.1%} of the features and {agreement.problems:.1%} of "
        f"{agreement.examined} random problems decided as the exact optimum does"
    )


if __name__ == "__main__":
    run_command(main, _COMMAND)
