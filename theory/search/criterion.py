"""How often the pair criterion is right: its verdicts beside the exact optima of random problems.

``python -m theory.search.criterion --n 3 --m 2`` prints the shares; the criterion itself stands in
theory.packing.pairing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss.population import population_loss
from theory.model.features import density_array
from theory.model.problem import Problem
from theory.optimum.local_minima import random_starts, refine, revive
from theory.packing.pairing import best_pairing
from theory.tools.arguments import count, non_negative_count
from theory.tools.command import Parser, progress, run_command, tell
from theory.tools.seeds import Seed, seed_number

__all__ = ["Agreement", "check_criterion", "main", "optimised_pair_pays"]

# A feature counts as represented from this norm on: the ideal ones have 1, optimised ones rarely less than 0.5.
_REPRESENTED = 0.1
_COMMAND = "python -m theory.search.criterion"
_BATCH = 1000
# Columns and biases of a single feature that are tried beside the others' optimum.
_DIRECTIONS, _TRIED_NORMS, _TRIED_BIASES = 24, (0.15, 0.3, 0.5, 0.7, 0.9, 1.05, 1.2), (-0.3, -0.15, -0.05, 0.0, 0.05)


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
    W, _, _ = _global_optima(Problem(m=1, density=p, importance=weight), starts=12, seed=0)
    pays = (np.abs(W[:, 0, 1]) > _REPRESENTED).reshape(shape)
    return pays if pays.ndim else bool(pays)


def _global_optima(
    problem: Problem, starts: int, seed: int
) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"], Float[ndarray, " k"]]:
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
    chosen = np.arange(k) * starts + best
    return found.W[chosen], found.b[chosen], losses.min(1)


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
    baseline : float
        Share of features that the optimum represents: what "every feature is represented" decides rightly.
    stored, left_out : float
        Share of right decisions among features that the optimum represents, and among those that it leaves out (NaN if
        there are none).
    marginal : float
        Balanced accuracy of another rule: a feature is stored if some column and bias of its own lower the loss at the
        exact optimum of the others, which stay where they are.
    """

    features: float
    problems: float
    examined: int
    baseline: float
    stored: float
    left_out: float
    marginal: float

    @property
    def balanced(self) -> float:
        """Mean of ``stored`` and ``left_out``, 1/2 for the baseline."""
        return (self.stored + self.left_out) / 2


def check_criterion(n: int, m: int, problems: int = 200, starts: int = 30, seed: Seed = 0) -> Agreement:
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
    seed : None, int, SeedSequence, BitGenerator or Generator
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
    number = seed_number(seed)
    rng = np.random.default_rng(number)
    p, weight = 10 ** rng.uniform(-2, 0, (problems, n)), 10 ** rng.uniform(-1, 0, (problems, n))
    right, kept, gains = (np.empty((problems, n), dtype=bool) for _ in range(3))
    size = max(1, _BATCH // starts)
    for start in progress(range(0, problems, size), total=-(-problems // size), label="problems"):
        rows = slice(start, start + size)
        W, _, _ = _global_optima(Problem(m=m, density=p[rows], importance=weight[rows]), starts, number + start)
        gains[rows] = _gains_alone(p[rows], weight[rows], m, starts, number + start)
        represented = np.linalg.norm(W, axis=1) > _REPRESENTED
        for k, stored in enumerate(represented, start=start):
            left_out = best_pairing(Problem(m=m, density=p[k], importance=weight[k])).unrepresented
            kept[k], right[k] = stored, stored == ~np.isin(np.arange(n), left_out)
    return Agreement(
        features=float(right.mean()),
        problems=float(right.all(1).mean()),
        examined=problems,
        baseline=float(kept.mean()),
        stored=float(right[kept].mean()) if kept.any() else np.nan,
        left_out=float(right[~kept].mean()) if not kept.all() else np.nan,
        marginal=float((gains[kept].mean() + (~gains[~kept]).mean()) / 2) if 0 < kept.mean() < 1 else np.nan,
    )


def _gains_alone(
    p: Float[ndarray, "k n"], weight: Float[ndarray, "k n"], m: int, starts: int, seed: int
) -> Bool[ndarray, "k n"]:
    """Whether each feature lowers the loss by a column and a bias of its own at the exact optimum of the others."""
    k, n = p.shape
    # Directions evenly or randomly over the sphere, norms and biases over what optima have.
    angles = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    directions = {1: np.array([[1.0], [-1.0]]), 2: np.stack([np.cos(angles), np.sin(angles)], axis=1)}.get(m)
    if directions is None:
        directions = np.random.default_rng(seed).standard_normal((4 * _DIRECTIONS, m))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    columns = [r * u for r in _TRIED_NORMS for u in directions]
    problem, gains = Problem(m=m, density=p, importance=weight), np.empty((k, n), dtype=bool)
    for j in range(n):
        others = np.delete(np.arange(n), j)
        W, b = np.zeros((k, m, n)), np.zeros((k, n))
        b[:, j] = p[:, j] / 2
        if n - 1 <= m:
            W[:, :, others] = np.eye(m)[:, : n - 1]
        else:
            rest = Problem(m=m, density=p[:, others], importance=weight[:, others])
            W[..., others], b[:, others], _ = _global_optima(rest, starts, seed)
        without = np.asarray(population_loss(W, b, problem))
        least = without.copy()
        for column in columns:
            W[..., j] = column
            for bias in _TRIED_BIASES:
                b[:, j] = bias
                least = np.minimum(least, population_loss(W, b, problem))
        gains[:, j] = least < without * (1 - 1e-9)
    return gains


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
    right = {
        name: f"{getattr(agreement, name):.1%}" for name in ("features", "problems", "stored", "left_out", "baseline")
    }
    tell(
        f"n = {options.n}, m = {options.m}, {agreement.examined} random problems:\n"
        f"{right['features']} of the features and {right['problems']} of the problems are decided as the exact optimum "
        f"does,\n{right['stored']} of the features that it stores and {right['left_out']} of what it leaves out;\n"
        f"that every feature is stored would be right for {right['baseline']};\nby what a feature gains at the exact "
        f"optimum of the others, stored and left-out ones weighing the same: {agreement.marginal:.1%}, by the pair "
        f"criterion {agreement.balanced:.1%}"
    )


if __name__ == "__main__":
    run_command(main, _COMMAND)
