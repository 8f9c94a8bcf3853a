"""What is measured of a pair of laws: loss, gradient, Hessian and trainer, each against another route."""

from dataclasses import dataclass
from itertools import product

import mpmath
import numpy as np
from numpy import ndarray

from numerics import sample, train
from theory import Problem, population_loss, population_loss_and_gradient
from theory.curvature.stability import hessian
from theory.loss.lattice import active_patterns
from theory.model.set_names import sets_of_names
from theory.model.values import value_law
from theory.model.variant import Variant

__all__ = ["SETS", "VALUES", "Status", "enumerated_loss", "model", "pair_problem", "sampled_loss", "status"]

VALUES = (
    "uniform", "uniform:0,2", "uniform:-1,1", "binary", "discrete:1@0.25,3@0.75", "discrete:-1@0.5,1@0.5",
    "exponential", "half-normal", "normal", "laplace", "gamma:2", "beta:2,3", "scipy:weibull_min,1.5",
)  # fmt: skip
SETS = (
    "", "2x2:all-or-none", "2x2:exactly-one", "2x2:partial:0.7", "2x2:correlated:0.5", "3:hierarchy:0.5",
    "4:exactly:2", "3:table:110@0.5,001@0.3,111@0.2",
)  # fmt: skip
# Samples are drawn until four standard errors are below 1 % of the mean.
_MOST_CHUNKS, _CHUNK = 200, 200_000


@dataclass(frozen=True)
class Status:
    """How far each quantity is from its other route, in units of what is allowed (below 1 is good)."""

    values: str
    sets: str
    refused: str = ""
    loss: float = np.nan
    gradient: float = np.nan
    hessian: float = np.nan
    trainer: float = np.nan

    @property
    def good(self) -> bool:
        return not self.refused and max(self.loss, self.gradient, self.hessian, self.trainer) < 1


def pair_problem(values: str, sets: str, n: int = 5, density: float = 0.3) -> Problem:
    m = max(1, n // 3)
    variant = Variant(value_law(values), sets_of_names(sets.split()))
    return variant.problem(n, m, density, np.linspace(1, 0.5, n))


def model(task: Problem, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([seed, task.n])
    return rng.normal(size=(task.m, task.n)) / np.sqrt(task.m), 0.1 * rng.normal(size=task.n)


def enumerated_loss(W: ndarray, b: ndarray, task: Problem) -> float:
    """Sum over all states of discrete values, in forty digits."""
    with mpmath.workdps(40):
        G = mpmath.matrix(W.T.tolist()) * mpmath.matrix(W.tolist())
        atoms = [(mpmath.mpf(v), mpmath.mpf(q)) for v, q in task.features.values.atoms]
        patterns = active_patterns(task.n)
        total = mpmath.mpf(0)
        for pattern, chance in zip(patterns, task.features.pattern_probability(patterns), strict=True):
            for choice in product(atoms, repeat=int(pattern.sum())):
                share = mpmath.mpf(float(chance)) * mpmath.fprod(q for _, q in choice)
                x = [mpmath.mpf(0)] * task.n
                for j, (v, _) in zip(np.flatnonzero(pattern), choice, strict=True):
                    x[j] = v
                for i in range(task.n):
                    z = mpmath.mpf(float(b[i])) + mpmath.fsum(G[i, j] * x[j] for j in range(task.n))
                    total += share * mpmath.mpf(float(task.importance[i])) * (x[i] - max(z, 0)) ** 2
        return float(total)


def sampled_loss(W: ndarray, b: ndarray, task: Problem, seed: int = 1) -> tuple[float, float]:
    """Mean over samples, and its standard error, four of which are below 1 %."""
    rng, G = np.random.default_rng(seed), W.T @ W
    first = second = count = 0.0
    for _ in range(_MOST_CHUNKS):
        x = sample(task.features, _CHUNK, rng)
        losses = ((x - task.activation.value(x @ G + b)) ** 2) @ task.importance
        first, second, count = first + losses.sum(), second + (losses**2).sum(), count + _CHUNK
        mean = first / count
        error = np.sqrt((second / count - mean**2) / count)
        if 4 * error < 0.01 * mean and count > 2 * _CHUNK:
            return float(mean), float(error)
    raise AssertionError(f"four standard errors are still {4 * error / mean:.2%}")


def status(values: str, sets: str, n: int = 5) -> Status:
    """Measure a pair."""
    try:
        task = pair_problem(values, sets, n)
    except ValueError as refusal:
        return Status(values, sets, refused=str(refusal))
    W, b = model(task)
    loss, dW, db = population_loss_and_gradient(W, b, task, rtol=1e-10)
    if task.features.values.atoms:
        reference = enumerated_loss(W, b, task)
        of_loss = abs(loss - reference) / (1e-9 * reference)
    else:
        mean, error = sampled_loss(W, b, task)
        of_loss = abs(loss - mean) / (4 * error)
    rng, h = np.random.default_rng(2), 1e-4
    V, c = rng.normal(size=W.shape), rng.normal(size=n)
    up, down = (population_loss_and_gradient(W + s * V, b + s * c, task, rtol=1e-10) for s in (h, -h))
    slope = float((dW * V).sum() + (db * c).sum())
    of_gradient = abs((up[0] - down[0]) / (2 * h) - slope) / (1e-5 * (abs(slope) + float(loss)))
    bend = np.r_[((up[1] - down[1]) / (2 * h)).ravel(), (up[2] - down[2]) / (2 * h)]
    curved = hessian(W, b, task) @ np.r_[V.ravel(), c]
    of_hessian = float(np.abs(curved - bend).max() / (2e-3 * np.abs(bend).max()))
    learned = train(task, instances=2, steps=100, progress=False)
    exact = population_loss(learned["W"].values.astype(float), learned["b"].values.astype(float), task)
    off = (learned["loss"].values - exact) / learned["loss_standard_error"].values
    return Status(values, sets, "", float(of_loss), float(of_gradient), of_hessian, float(np.abs(off).max() / 4.5))
