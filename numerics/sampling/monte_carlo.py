"""A stratified Monte Carlo estimate of the population loss.

Plain sampling wastes itself on samples without a single active feature and meets the interesting ones
rarely. Here the number k of active features is a stratum: its probability is known exactly (Poisson-
binomial), its samples are drawn given k, and each stratum gets samples in proportion to its probability
times its standard deviation (Neyman). Samples with one active feature are spread evenly over which feature it is
and over its value. Nothing but forward passes on samples is used, so the estimate is a witness for whatever
computes the loss in another way.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from numerics.models import Model, Parameters, find_model, forward
from numerics.sampling.draws import draw_values
from theory.model.features import FeatureDistribution
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.tools.seeds import Seed, generator

__all__ = ["active_count_probability", "stratified_loss"]

# Numbers of active features that carry less than this share of the non-empty samples are drawn together.
_RARE = 1e-3
_PILOT = 100
_LEAST = 16
# Parts of the samples given out by Neyman's rule, evenly, and by probability.
_RULES = (0.7, 0.15, 0.15)
# Cells (samples times features) evaluated at once: keeps the arrays within a few tens of megabytes.
_BLOCK_CELLS = 1_000_000


def stratified_loss(
    W: ArrayLike,
    b: ArrayLike,
    problem: Problem,
    samples: int = 200_000,
    seed: Seed = 0,
    model: str | Model | None = None,
) -> tuple[float, float]:
    """
    Estimate the population loss by sampling, stratified by the number of active features.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    b : array_like, shape (n,)
        Output bias.
    problem : Problem
        A single problem with independent features.
    samples : int
        Number of samples over all strata, >= 1000.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the samples, >= 0.
    model : {"relu", "linear", "relu_hidden"} or Model, optional
        Which model; see ``numerics.models.find_model``. By default the one with the problem's activation.

    Returns
    -------
    estimate : float
        Unbiased estimate of E sum_i I_i (x_i - x'_i)^2, summed over features.
    standard_error : float
        Its standard error, estimated from the same samples.

    Raises
    ------
    ValueError
        If the features are not independent, the problem is a batch, or there are too few samples.

    Examples
    --------
    >>> problem = Problem(n=2, m=1, density=0.1)
    >>> estimate, error = stratified_loss(np.array([[1.0, -1.0]]), np.zeros(2), problem)
    >>> abs(estimate - 2 * 0.1**2 / 6) < 4 * error < 0.05 * estimate
    True
    """
    require_problem(problem)
    problem.plain("stratified_loss")
    features = problem.features
    if not features.independent or problem.batch_shape:
        raise ValueError("a stratified estimate needs one problem (no batch) with independent features")
    kind = find_model(problem.activation if model is None else model)
    if not kind.tied:
        raise ValueError(f"a stratified estimate needs a model with tied weights, not {kind.name!r}")
    if samples < 1000:
        raise ValueError(f"samples must be at least 1000, got {samples}")
    draw = _ConditionalDraw(features, generator(seed))
    parameters = Parameters(*problem.checked(W, b))

    def losses(x: Float[ndarray, "rows n"]) -> Float[ndarray, " rows"]:
        return np.asarray((x - forward(parameters, x, kind)) ** 2 @ problem.importance)

    strata = _strata(draw.probability)
    weight = np.array([draw.probability[ks].sum() for ks in strata])
    pilot = [_summary(losses, draw, ks, _PILOT)[1] for ks in strata]
    sizes = _allocation(weight, np.sqrt(pilot), samples)
    summaries = [_summary(losses, draw, ks, int(size)) for ks, size in zip(strata, sizes, strict=True)]
    mean, variance = np.array(summaries).T.reshape(2, -1)
    empty = losses(np.zeros((1, problem.n)))[0]
    estimate = draw.probability[0] * empty + weight @ mean
    return float(estimate), math.sqrt(float(np.sum(weight**2 * variance / sizes)))


def _allocation(
    weight: Float[ndarray, " strata"], deviation: Float[ndarray, " strata"], samples: int
) -> Int[ndarray, " strata"]:
    """
    Share out the samples: most by Neyman's rule, the rest evenly and by probability.

    A pilot that happens to see one kind of sample only finds no deviation; Neyman's rule alone would never look again.
    """
    rules = [weight * deviation, np.ones_like(weight), weight]
    shares = [rule / rule.sum() if rule.any() else np.full(len(rule), 1 / len(rule)) for rule in rules]
    share = np.dot(_RULES, shares)
    return 2 * np.maximum(_LEAST, (samples * share / 2).astype(int))


def active_count_probability(density: Float[ndarray, " n"]) -> Float[ndarray, " n_plus_1"]:
    """
    Give the probability that exactly k features are active, for every k.

    Parameters
    ----------
    density : ndarray, shape (n,)
        Probability that each feature is active; the features are independent.

    Returns
    -------
    ndarray, shape (n + 1,)
        The Poisson-binomial law.

    Examples
    --------
    >>> active_count_probability(np.array([0.5, 0.5]))
    array([0.25, 0.5 , 0.25])
    """
    return np.asarray(_suffix_counts(density)[0])


def _suffix_counts(p: Float[ndarray, " n"]) -> Float[ndarray, "n_plus_1 n_plus_1"]:
    """Give the probability that k of the features j ... n-1 are active, at [j, k]; all terms are positive."""
    n = len(p)
    table = np.zeros((n + 1, n + 1))
    table[n, 0] = 1
    for j in range(n - 1, -1, -1):
        table[j] = (1 - p[j]) * table[j + 1]
        table[j, 1:] += p[j] * table[j + 1, :-1]
    return table


class _ConditionalDraw:
    """Draws samples with a given number of active features."""

    def __init__(self, features: FeatureDistribution, rng: np.random.Generator) -> None:
        self.rng = rng
        self.values = features.values
        p = features.feature_density
        table = _suffix_counts(p)
        self.probability = table[0]
        # Feature by feature: j is active with this probability if k of the features j ... n-1 are.
        with_j = np.zeros_like(table[:-1])
        with_j[:, 1:] = p[:, None] * table[1:, :-1]
        self.active_given = np.divide(with_j, table[:-1], out=np.zeros_like(with_j), where=table[:-1] > 0)
        first = self.active_given[:, 1]
        self.single_share = first * np.cumprod(np.append(1, 1 - first[:-1]))

    def __call__(self, counts: Int[ndarray, " rows"]) -> Float[ndarray, "rows n"]:
        left = counts.copy()
        n = len(self.active_given)
        active = np.empty((n, len(left)), bool)
        for j, probability in enumerate(self.active_given):
            np.less(self.rng.random(len(left)), probability[left], out=active[j])
            left -= active[j]
        x = np.ascontiguousarray(active.T, dtype=float)
        if self.values.constant is None:
            return x * draw_values(self.rng.random(x.shape), self.values)
        return x * self.values.constant

    def single(self, place: Float[ndarray, " rows"]) -> Float[ndarray, "rows n"]:
        """Make samples with one active feature: a place in [0, 1) says which it is, and its uniform value."""
        share = self.single_share
        possible = np.flatnonzero(share)
        end = np.cumsum(share[possible])
        index = np.minimum(np.searchsorted(end, place, side="right"), len(end) - 1)
        value = np.clip(1 - (end[index] - place) / share[possible[index]], 0, 1)
        x = np.zeros((len(place), len(share)))
        x[np.arange(len(place)), possible[index]] = draw_values(value, self.values)
        return x


def _strata(probability: Float[ndarray, " n_plus_1"]) -> list[Int[ndarray, " ks"]]:
    """Group the numbers of active features k >= 1: each a stratum of its own, the rare ones together."""
    k = np.arange(1, len(probability))
    inside = probability[1:]
    rare = inside < _RARE * inside.sum()
    groups = [k[i : i + 1] for i in np.flatnonzero(~rare)]
    tail = k[rare & (inside > 0)]
    return [*groups, tail] if len(tail) else groups


def _summary(
    losses: Callable[[ndarray], ndarray], draw: _ConditionalDraw, ks: Int[ndarray, " ks"], size: int
) -> tuple[float, float]:
    """Mean and variance of the loss in a stratum, from ``size`` samples (an even number)."""
    rows = max(1, _BLOCK_CELLS // len(draw.active_given))
    blocks = range(0, size, rows)
    if ks.tolist() == [1] and draw.values.constant is not None:
        # Nothing is left to chance but which feature it is: go through all of them.
        values = losses(draw.values.constant * np.eye(len(draw.single_share)))
        return float(draw.single_share @ values), 0.0
    if ks.tolist() == [1]:
        # Two samples in each of size / 2 cells: half the mean square of their difference is the variance in a cell.
        cells = size // 2
        place = ((np.arange(cells) + draw.rng.random((2, cells))) / cells).ravel()
        values = np.concatenate([losses(draw.single(place[start : start + rows])) for start in blocks])
        return float(values.mean()), float(np.mean((values[:cells] - values[cells:]) ** 2) / 2)
    share = draw.probability[ks] / draw.probability[ks].sum()
    values = np.concatenate([losses(draw(draw.rng.choice(ks, min(rows, size - start), p=share))) for start in blocks])
    return float(values.mean()), float(values.var(ddof=1))
