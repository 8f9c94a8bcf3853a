"""Problems that are hard on a population loss, by stratum, each made again from its number alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory import Anticorrelated, Correlated, FeatureDistribution, Independent, Problem

__all__ = ["SCHEDULE", "STRATA", "Case", "make_case"]

# Up to here all outputs are weighed; above, one random output per problem, whose enumeration takes up to half a second.
ALL_OUTPUTS = 9
# Models of a large batch that are compared with the oracle: another random choice in every batch.
COMPARED = 10

Parameters = tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Case:
    """A model, or a batch of models along the first axis, and which of them to compare with the oracle."""

    stratum: str
    number: int
    W: Float[ndarray, "*batch m n"]
    b: Float[ndarray, "*batch n"]
    problem: Problem
    compared: Int[ndarray, " some"]

    def single(self, k: int) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"], Problem]:
        """Give model k of the batch, or the only model."""
        if self.W.ndim == 2:
            return self.W, self.b, self.problem
        batch, features = self.b.shape[:-1], self.problem.features
        if features.batch_shape:
            features = features.with_density(features.density[k])
        importance = np.broadcast_to(self.problem.importance, (*batch, self.problem.n))[k]
        return self.W[k], self.b[k], Problem(m=self.problem.m, features=features, importance=importance)

    def noise(self, G: Float[ndarray, "rows n"]) -> Float[ndarray, " rows"]:
        """Draw variances of noise for outputs: none at all, or 1e-12 to 10 of the couplings' squares."""
        rng = np.random.default_rng([21, self.number])
        return (rng.random(len(G)) < 0.8) * _log_uniform(rng, -12, 1, len(G)) * np.maximum((G**2).sum(1), 1e-12)


# Embeddings and biases


def _log_uniform(rng: Rng, low: float, high: float, size: int | None = None) -> ndarray:
    """Draw 10^U[low, high]."""
    return np.asarray(10.0 ** rng.uniform(low, high, size))


def _plain(rng: Rng, n: int) -> Parameters:
    """Columns of norm about 1, biases around 0."""
    m = int(rng.integers(1, n + 1))
    return rng.normal(size=(m, n)) / np.sqrt(m), rng.normal(size=n) * rng.choice([0.0, 0.1, 0.3, 1.0])


def _tiny(rng: Rng, n: int) -> Parameters:
    """Some couplings of 1e-8 to 1e-2 beside others of 1."""
    W, b = _plain(rng, n)
    small = rng.random(n) < rng.uniform(0.1, 0.9)
    W[:, small] *= _log_uniform(rng, -8, -2, int(small.sum()))
    return W, b


def _integer(rng: Rng, n: int) -> Parameters:
    """Couplings that are small whole numbers; biases too, or half-integers."""
    W = rng.integers(-2, 3, size=(int(rng.integers(1, 4)), n)).astype(float)
    return W, rng.integers(-4, 5, size=n) / rng.choice([1.0, 2.0])


def _large_integer(rng: Rng, n: int) -> Parameters:
    """Couplings that are whole numbers of about 1e4."""
    m = int(rng.integers(1, 4))
    W = rng.integers(-100, 101, size=(m, n)).astype(float)
    return W, np.round(rng.normal(size=n) * 10.0 ** rng.integers(0, 5)) + rng.choice([0.0, 0.5])


def _equal(rng: Rng, n: int) -> Parameters:
    """All couplings of an output equal, or equal up to signs."""
    W = np.full((1, n), _log_uniform(rng, -1.5, 1.5))
    if rng.random() < 0.5:
        W *= rng.choice([-1.0, 1.0], size=n)
    return W, rng.normal(size=n) * float(W[0, 0] ** 2)


def _mixed(rng: Rng, n: int) -> Parameters:
    """Couplings 0 and 1e-8 to 1e4 in one output."""
    W, _ = _plain(rng, n)
    W *= _log_uniform(rng, -4, 2, n)
    W[:, rng.random(n) < 0.2] = 0.0
    return W, rng.choice([-1.0, 1.0], size=n) * _log_uniform(rng, -4, 4, n)


def _nearly_perfect(rng: Rng, n: int) -> Parameters:
    """A dimension for every feature, up to 1e-8 to 1e-2: a loss that is nearly 0."""
    W = np.linalg.qr(rng.normal(size=(n, n)))[0] if rng.random() < 0.5 else np.eye(n)
    size = _log_uniform(rng, -8, -2)
    return W + size * rng.normal(size=(n, n)), size * rng.normal(size=n)


def _polygons(rng: Rng, n: int) -> Parameters:
    """Regular polygons in planes of their own, with couplings that would be 0 but for the rounding of a cosine."""
    W, first = np.zeros((0, n)), 0
    while first < n:
        corners = min(int(rng.integers(2, 9)), n - first)
        angles = 2 * np.pi * np.arange(corners) / corners
        plane = np.zeros((2, n))
        plane[:, first : first + corners] = rng.uniform(0.5, 1.5) * np.array([np.cos(angles), np.sin(angles)])
        W, first = np.vstack([W, plane]), first + corners
    return W, np.full(n, rng.choice([0.0, -0.1, 0.05])) + rng.choice([0.0, 1e-9, 0.1]) * rng.normal(size=n)


def _near_switching(rng: Rng, n: int) -> Parameters:
    """Biases that put z at, or very near, 0 at a vertex: none active, all that help, or a random one."""
    W, _ = rng.choice([_plain, _tiny, _integer, _equal])(rng, n)
    G = W.T @ W
    vertices = [
        np.zeros((n, n)),
        (G > 0).astype(float),
        (G < 0).astype(float),
        rng.integers(0, 2, (n, n)).astype(float),
    ]
    b = -(G * vertices[rng.integers(4)]).sum(1)
    gap = rng.choice([-1.0, 1.0], size=n) * np.abs(G).sum(1) * _log_uniform(rng, -12, -2, n)
    return W, b + np.where(rng.random(n) < 0.3, 0.0, gap)


def _large_biases(rng: Rng, n: int) -> Parameters:
    """Biases to 1e8, couplings of 1 to 1e8."""
    W, _ = _plain(rng, n)
    W *= _log_uniform(rng, 0, 4)
    return W, rng.choice([-1.0, 1.0], size=n) * _log_uniform(rng, 0, 8, n)


def _never_switching(rng: Rng, n: int) -> Parameters:
    """Outputs whose z never changes its sign, whatever the features do, by a margin of 1e-9 and more."""
    if rng.random() < 0.3:
        w = rng.choice([300.0, 1000.0, 3000.0])
        return np.full((1, n), w), np.full(n, -rng.choice([1.1, 8 / 7]) * n * w**2)
    W, _ = _plain(rng, n)
    W *= _log_uniform(rng, 0, 3.5)
    G = W.T @ W
    margin = 1 + _log_uniform(rng, -9, 1, n)
    off, on = np.maximum(G, 0).sum(1), np.maximum(-G, 0).sum(1)
    return W, np.where(rng.random(n) < rng.choice([0.0, 0.3, 1.0]), on * margin, -off * margin)


def _extreme(rng: Rng, n: int) -> Parameters:
    """Embeddings of 1e-150 to 1e200: to be refused, or right."""
    W, b = _plain(rng, n)
    scale = float(rng.choice([1e-150, 1e-30, 1e30, 1e70, 1e100, 1e200]))
    return W * scale, b * rng.choice([1.0, min(scale, 1e140) ** 2])


_EMBEDDINGS = (
    _plain, _tiny, _integer, _large_integer, _equal, _mixed, _nearly_perfect, _polygons, _near_switching, _large_biases,
    _never_switching,
)  # fmt: skip


def _any_embedding(rng: Rng, n: int) -> Parameters:
    return rng.choice(_EMBEDDINGS)(rng, n)


# Densities


def _moderate(rng: Rng, k: int) -> ndarray:
    return _log_uniform(rng, -2, 0, k) if rng.random() < 0.5 else np.full(k, _log_uniform(rng, -2, 0))


def _sparse(rng: Rng, k: int) -> ndarray:
    """From 1e-6 to 1e-3."""
    return _log_uniform(rng, -6, -3, k) if rng.random() < 0.5 else np.full(k, _log_uniform(rng, -6, -3))


def _near_one(rng: Rng, k: int) -> ndarray:
    """Within 1e-12 to 0.1 of 1, or exactly 1."""
    p = 1 - _log_uniform(rng, -12, -1, k)
    p[rng.random(k) < rng.choice([0.0, 0.3, 1.0])] = 1.0
    return p


def _power_law(rng: Rng, k: int) -> ndarray:
    """p_i = p_1 i^-alpha."""
    return _log_uniform(rng, -3, 0) * np.arange(1, k + 1) ** -rng.uniform(0.5, 2.5)


def _any_density(rng: Rng, k: int) -> ndarray:
    return rng.choice([_moderate, _sparse, _near_one, _power_law])(rng, k)


# Sets


def _independent(rng: Rng, n: int, density: Callable, values: str) -> FeatureDistribution:
    return Independent(density(rng, n), values=values)


def _in_sets(kind: type) -> Callable[..., FeatureDistribution]:
    def draw(rng: Rng, n: int, density: Callable, values: str) -> FeatureDistribution:
        """One to three sets of two or more features, the others alone."""
        order, sets = [int(j) for j in rng.permutation(n)], []
        largest = int(rng.choice([2, 4, n]))
        for _ in range(rng.integers(1, 4)):
            size = int(rng.integers(2, largest + 1))
            sets, order = [*sets, order[:size]], order[size:]
        sets = [s for s in sets if s] + [[j] for j in order]
        return kind(sets, density(rng, len(sets)), values=values)

    return draw


_CORRELATED, _ANTICORRELATED = _in_sets(Correlated), _in_sets(Anticorrelated)


def _any_sets(rng: Rng, n: int, density: Callable, values: str) -> FeatureDistribution:
    return rng.choice([_independent, _CORRELATED, _ANTICORRELATED])(rng, n, density, values)


@dataclass(frozen=True)
class _Stratum:
    """How the parts of a problem are drawn."""

    embedding: Callable = _plain
    density: Callable = _moderate
    sets: Callable = _independent
    batch: str = ""


STRATA: dict[str, _Stratum] = {
    "random": _Stratum(),
    "tiny couplings": _Stratum(_tiny),
    "integer couplings": _Stratum(_integer),
    "large integer couplings": _Stratum(_large_integer, _any_density, _any_sets),
    "equal couplings": _Stratum(_equal, _any_density),
    "mixed couplings": _Stratum(_mixed, _any_density),
    "nearly perfect": _Stratum(_nearly_perfect, _any_density),
    "polygons": _Stratum(_polygons, _any_density, _any_sets),
    "near switching": _Stratum(_near_switching, _any_density),
    "large biases": _Stratum(_large_biases, _any_density),
    "never switching": _Stratum(_never_switching, _any_density),
    "p near 1": _Stratum(_any_embedding, _near_one),
    "sparse": _Stratum(_any_embedding, _sparse),
    "power law": _Stratum(_any_embedding, _power_law),
    "correlated sets": _Stratum(_any_embedding, _any_density, _CORRELATED),
    "anticorrelated sets": _Stratum(_any_embedding, _any_density, _ANTICORRELATED),
    "batches of 60": _Stratum(_any_embedding, _any_density, _any_sets, "models"),
    "single outputs in batches": _Stratum(_any_embedding, _any_density, _any_sets, "outputs"),
    "extreme scales": _Stratum(_extreme, _any_density, _any_sets),
}

# Problem k belongs to stratum k modulo this: any first so many problems are mixed alike. Strata where the parts
# combine freely come more often; batches, each of them ten comparisons, and extremes less.
_TURNS = {name: 2 if s.batch else 4 if s.embedding is _any_embedding else 3 for name, s in STRATA.items()}
_TURNS["extreme scales"] = 1
SCHEDULE: tuple[str, ...] = tuple(name for turn in range(4) for name in STRATA if turn < _TURNS[name])


def make_case(number: int) -> Case:
    """
    Make the problem of a number.

    Parameters
    ----------
    number : int
        From 0 on; the same number always gives the same problem.

    Returns
    -------
    Case
        The problem, with a model or a batch of models.
    """
    name = SCHEDULE[number % len(SCHEDULE)]
    stratum, rng = STRATA[name], np.random.default_rng([20, number])  # 20: any fixed number, so that other seeds differ
    if stratum.batch:
        return _batch(name, number, stratum, rng)
    n = int(rng.choice([7, 8, 9, 10, 11, 12, 13, 14], p=[0.3, 0.2, 0.2, 0.06, 0.06, 0.06, 0.06, 0.06]))
    W, b = stratum.embedding(rng, n)
    features = stratum.sets(rng, n, stratum.density, _values(rng))
    importance = np.ones(n) if rng.random() < 0.7 else rng.uniform(0.1, 2, n)
    if n > ALL_OUTPUTS or rng.random() < 0.1:
        importance = np.eye(n)[rng.integers(n)]
    problem = Problem(m=len(W), features=features, importance=importance)
    return Case(name, number, W, b, problem, np.zeros(1, dtype=int))


def _values(rng: Rng) -> str:
    return "uniform" if rng.random() < 0.7 else "binary"


def _batch(name: str, number: int, stratum: _Stratum, rng: Rng) -> Case:
    """Draw a batch of models that share the number of features and dimensions."""
    n = int(rng.choice([7, 8, 9], p=[0.6, 0.2, 0.2]))
    size = 60 if stratum.batch == "models" else int(rng.integers(5, 20))
    alike = rng.choice(_EMBEDDINGS) if rng.random() < 0.5 else stratum.embedding
    models = [alike(rng, n) for _ in range(size)]
    m = max(len(W) for W, _ in models)
    W = np.stack([np.vstack([W, np.zeros((m - len(W), n))]) for W, _ in models])
    b = np.stack([b for _, b in models])
    features = stratum.sets(rng, n, stratum.density, _values(rng))
    if rng.random() < 0.5:
        features = features.with_density(np.stack([stratum.density(rng, len(features.sets)) for _ in range(size)]))
    importance = np.eye(n)[rng.integers(n, size=size)] if stratum.batch == "outputs" else np.ones(n)
    problem = Problem(m=m, features=features, importance=importance)
    compared = np.sort(rng.choice(size, min(size, COMPARED), replace=False))
    return Case(name, number, W, b, problem, compared)
