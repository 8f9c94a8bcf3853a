"""What is measured of a pair of laws: loss, gradient, Hessian and trainer, each against another route."""

from dataclasses import dataclass, fields
from itertools import combinations, product

import mpmath
import numpy as np
from numpy import ndarray

from numerics import sample, train
from theory import Problem, Terms, optimise, population_loss, population_loss_and_gradient
from theory.curvature.stability import hessian
from theory.loss.lattice import active_patterns
from theory.loss.objective import Objective
from theory.model.set_names import sets_of_names
from theory.model.values import value_law
from theory.model.variant import Variant

__all__ = [
    "PAIRS",
    "SETS",
    "TERMS",
    "VALUES",
    "Status",
    "both",
    "enumerated_loss",
    "model",
    "pair_problem",
    "sampled_loss",
    "status",
]

VALUES = (
    "uniform", "uniform:0,2", "uniform:-1,1", "binary", "discrete:1@0.25,3@0.75", "discrete:-1@0.5,1@0.5",
    "exponential", "half-normal", "normal", "laplace", "gamma:2", "beta:2,3", "scipy:weibull_min,1.5",
)  # fmt: skip
SETS = (
    "", "2x2:all-or-none", "2x2:exactly-one", "2x2:partial:0.7", "2x2:correlated:0.5", "3:hierarchy:0.5",
    "4:exactly:2", "3:table:110@0.5,001@0.3,111@0.2",
)  # fmt: skip
# Terms of the problem, as commands take them: decoders, constraints, noise and penalties.
TERMS = {
    "": Terms(),
    "--decoder untied": Terms(decoder="untied"),
    "--bias 0": Terms(bias=0.0),
    "--bias -0.1": Terms(bias=-0.1),
    "--unit-norms": Terms(unit_norms=True),
    "--noise 0.2": Terms(noise=0.2),
    "--weight-decay 0.1": Terms(decay=0.1),
    "--l1 0.1": Terms(l1=0.1),
}
_SINGLE = [name for name in TERMS if name]
# Every pair of a choice of one kind and one of another, what is not chosen being uniform values of independent features
# without terms: values, sets, and terms separated by spaces.
PAIRS = [
    *((values, sets, "") for values in VALUES for sets in SETS),
    *((values, "", term) for values in VALUES for term in _SINGLE),
    *(("uniform", sets, term) for sets in SETS[1:] for term in _SINGLE),
    *(("uniform", "", f"{a} {b}") for a, b in combinations(_SINGLE, 2) if a.split()[0] != b.split()[0]),
]
# Samples are drawn until four standard errors are below 1 % of the mean.
_MOST_CHUNKS, _CHUNK = 200, 200_000


@dataclass(frozen=True)
class Status:
    """How far each quantity is from its other route, in units of what is allowed (below 1 is good)."""

    values: str
    sets: str
    terms: str = ""
    refused: str = ""
    no_optimum: str = ""  # the sentence with which an optimum is refused
    loss: float = np.nan
    gradient: float = np.nan
    hessian: float = np.nan
    trainer: float = np.nan

    @property
    def good(self) -> bool:
        measured = (self.loss, self.gradient, self.hessian, self.trainer)
        return not self.refused and all(one < 1 for one in measured)  # NaN is not


def both(terms: str) -> Terms:
    """Read none, one or two of ``TERMS``."""
    if terms in TERMS:
        return TERMS[terms]
    parts = [TERMS["--" + part.strip()] for part in terms.split("--") if part]
    changed = {f.name: getattr(t, f.name) for t in parts for f in fields(t) if getattr(t, f.name) != f.default}
    return Terms(**changed)


def pair_problem(values: str, sets: str, n: int = 5, density: float = 0.3, terms: Terms = TERMS[""]) -> Problem:
    m = max(1, n // 3)
    variant = Variant(value_law(values), sets_of_names(sets.split()), terms)
    return variant.problem(n, m, density, np.linspace(1, 0.5, n))


def model(task: Problem, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([seed, task.n])
    return rng.normal(size=(task.m, task.n)) / np.sqrt(task.m), 0.1 * rng.normal(size=task.n)


def penalty(W: ndarray, V: ndarray | None, terms: Terms) -> float:
    """What weight decay adds."""
    return terms.decay / 2 * float((W**2).sum() + (0 if V is None else (V**2).sum()))


def enumerated_loss(W: ndarray, b: ndarray, task: Problem, W_out: ndarray | None = None) -> float:
    """Sum over all states of discrete values, in forty digits; without noise."""
    assert not task.terms.noise
    with mpmath.workdps(40):
        embedding = mpmath.matrix(W.tolist())
        G = mpmath.matrix((W.T if W_out is None else W_out).tolist()) * embedding
        l1 = mpmath.mpf(task.terms.l1)
        atoms = [(mpmath.mpf(v), mpmath.mpf(q)) for v, q in task.features.values.atoms]
        patterns = active_patterns(task.n)
        total = mpmath.mpf(0)
        for pattern, chance in zip(patterns, task.features.pattern_probability(patterns), strict=True):
            for choice in product(atoms, repeat=int(pattern.sum())):
                share = mpmath.mpf(float(chance)) * mpmath.fprod(q for _, q in choice)
                x = [mpmath.mpf(0)] * task.n
                for j, (v, _) in zip(np.flatnonzero(pattern), choice, strict=True):
                    x[j] = v
                hidden = [mpmath.fsum(embedding[d, j] * x[j] for j in range(task.n)) for d in range(task.m)]
                total += share * l1 * mpmath.fsum(abs(h) for h in hidden)
                for i in range(task.n):
                    z = mpmath.mpf(float(b[i])) + mpmath.fsum(G[i, j] * x[j] for j in range(task.n))
                    total += share * mpmath.mpf(float(task.importance[i])) * (x[i] - max(z, 0)) ** 2
        return float(total) + penalty(W, W_out, task.terms)


def sampled_loss(
    W: ndarray, b: ndarray, task: Problem, seed: int = 1, W_out: ndarray | None = None
) -> tuple[float, float]:
    """Mean over samples, and its standard error, four of which are below 1 %."""
    rng, decode, terms = np.random.default_rng(seed), W if W_out is None else W_out.T, task.terms
    first = second = count = 0.0
    for _ in range(_MOST_CHUNKS):
        x = sample(task.features, _CHUNK, rng)
        hidden = x @ W.T
        seen = hidden + terms.noise * rng.standard_normal(hidden.shape) if terms.noise else hidden
        losses = ((x - task.activation.value(seen @ decode + b)) ** 2) @ task.importance
        losses += terms.l1 * np.abs(hidden).sum(1)
        first, second, count = first + losses.sum(), second + (losses**2).sum(), count + _CHUNK
        mean = first / count
        error = np.sqrt((second / count - mean**2) / count)
        if 4 * error < 0.01 * mean and count > 2 * _CHUNK:
            return float(mean) + penalty(W, W_out, terms), float(error)
    raise AssertionError(f"four standard errors are still {4 * error / mean:.2%}")


def status(values: str, sets: str, terms: str = "", n: int = 5) -> Status:
    """Measure a pair."""
    try:
        task = pair_problem(values, sets, n, terms=both(terms))
    except ValueError as refusal:
        return Status(values, sets, terms, refused=str(refusal))
    no_optimum = _refusal(task.terms) if terms else ""
    W, b = model(task)
    rng = np.random.default_rng(2)
    tied = task.terms.tied
    W_out = None if tied else W.T + 0.3 * rng.normal(size=W.T.shape)
    objective = Objective(task, 1e-10, exact=True)
    x = objective.join(W, b, W_out)
    W, b, W_out = objective.split(x)
    loss = population_loss(W, b, task, rtol=1e-10, W_out=W_out)
    if task.features.values.atoms and not task.terms.noise:
        reference = enumerated_loss(W, b, task, W_out)
        of_loss = abs(loss - reference) / (1e-9 * reference)
    else:
        mean, error = sampled_loss(W, b, task, W_out=W_out)
        of_loss = abs(loss - mean) / (4 * error)
    of_gradient, of_hessian = _derivatives(W, b, task, W_out, rng)
    learned = train(task, instances=2, steps=100, progress=False)
    decoder = None if tied else learned["W_out"].values.astype(float)
    point = learned["W"].values.astype(float), learned["b"].values.astype(float)
    if task.terms.unit_norms:  # of single precision
        point[0][:] /= np.sqrt((point[0] ** 2).sum(-2, keepdims=True))
    off = learned["loss"].values - population_loss(*point, task, W_out=decoder)
    off /= learned["loss_standard_error"].values
    of_trainer = float(np.abs(off).max() / 4.5)
    return Status(values, sets, terms, "", no_optimum, float(of_loss), of_gradient, of_hessian, of_trainer)


def _derivatives(
    W: ndarray, b: ndarray, task: Problem, W_out: ndarray | None, rng: np.random.Generator
) -> tuple[float, float]:
    """Distance of the gradient from differences of the loss, and of the Hessian from those of the gradient."""
    h = 1e-4
    if task.terms.plain:
        V, c = rng.normal(size=W.shape), rng.normal(size=task.n)
        loss, dW, db = population_loss_and_gradient(W, b, task, rtol=1e-10)
        up, down = (population_loss_and_gradient(W + s * V, b + s * c, task, rtol=1e-10) for s in (h, -h))
        slope, direction = float((dW * V).sum() + (db * c).sum()), np.r_[V.ravel(), c]
        bend = np.r_[((up[1] - down[1]) / (2 * h)).ravel(), (up[2] - down[2]) / (2 * h)]
        rise = up[0] - down[0]
    else:  # in the free parameters
        objective = Objective(task, 1e-10, exact=True)
        x, direction = objective.join(W, b, W_out), rng.normal(size=objective.size)
        losses, slopes = objective(np.stack([x, x + h * direction, x - h * direction]))
        loss, slope, rise = losses[0], float(slopes[0] @ direction), losses[1] - losses[2]
        bend = (slopes[1] - slopes[2]) / (2 * h)
    curved = hessian(W, b, task) if W_out is None else hessian(W, b, task, W_out)
    of_gradient = abs(rise / (2 * h) - slope) / (1e-5 * (abs(slope) + float(loss)))
    # piecewise linear gradients have no second derivatives between their kinks: both sides are 0
    of_hessian = np.abs(curved @ direction - bend).max() / (2e-3 * max(np.abs(bend).max(), 1e-9 * float(loss)))
    return float(of_gradient), float(of_hessian)


def _refusal(terms: Terms) -> str:
    """Give the sentence with which a geometry's optimum is refused, if it is."""
    try:
        optimise(Problem(n=2, m=1, density=0.3, terms=terms), "digon")
    except ValueError as refusal:
        return str(refusal)
    return ""
