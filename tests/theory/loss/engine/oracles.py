"""What the engine is compared with: enumeration of active sets, and exponential values in multi-precision arithmetic."""

from dataclasses import dataclass
from itertools import product
from math import factorial

import numpy as np
from hypothesis import strategies as st
from mpmath import diff, exp, mp, mpf
from numpy import ndarray
from scipy.special import gamma, gammaincc

from tests.strategies import seeds
from theory import Anticorrelated, Correlated, FeatureDistribution, Independent
from theory.loss import enumerated_errors
from theory.loss.engine.laws import AllActive, Binary, OneActive, Uniform
from theory.loss.engine.rows import Features, Rows
from theory.loss.enumeration import active_patterns

# Enumeration rounds at about this part of the largest z squared, and of one.
ENUMERATION = 4e-15
LAWS = {"uniform": Uniform(), "binary": Binary()}


@dataclass(frozen=True)
class Exponential:
    """Values exponential of mean 1: unbounded, and with a moment generating function in a strip only."""

    support: tuple[float, float] = (0.0, np.inf)
    atoms: tuple[tuple[float, float], ...] = ()
    strip: float = 1.0

    def moment(self, k: int) -> float:
        return float(factorial(k))

    def transform(self, a: ndarray, order: int = 0) -> ndarray:
        return factorial(order) * 1j**order / (1 - 1j * np.asarray(a)) ** (order + 1)

    def log_mgf(self, s: ndarray) -> ndarray:
        s = np.asarray(s, dtype=float)
        return np.where(s < 1, -np.log1p(-np.minimum(s, 1 - 1e-12)), np.inf)

    def partial(self, k: int, x: ndarray) -> ndarray:
        return gamma(k + 1) * gammaincc(k + 1, np.maximum(x, 0))

    def tail(self, k: int, x: ndarray) -> ndarray:
        return self.partial(k, x)


def exponential_error(c: ndarray, b: float, own: int, p: float) -> float:
    """E (x_own - ReLU(b + c . x))^2 for independent exponential values; couplings must differ and not vanish."""
    with mp.workdps(60):
        total = mpf(0)
        for pattern in product([0, 1], repeat=len(c)):
            probability = mpf(1)
            for on in pattern:
                probability *= mpf(p) if on else 1 - mpf(p)
            active = [mpf(float(x)) for x, on in zip(c, pattern, strict=True) if on]
            error = _rectified_square(mpf(b), active)
            if pattern[own]:
                place = sum(pattern[:own])

                def half(x: mpf, active: list = active, place: int = place) -> mpf:  # type: ignore[type-arg]
                    return _rectified_square(mpf(b), [*active[:place], x, *active[place + 1 :]]) / 2

                error += 2 - 2 * diff(half, active[place])
            total += probability * error
        return float(total)


def _rectified_square(b: mpf, c: list) -> mpf:  # type: ignore[type-arg]
    """E ReLU(b + sum c u)^2 by partial fractions of the characteristic function."""
    if not c:
        return max(b, mpf(0)) ** 2
    total = mpf(0)
    for j, x in enumerate(c):
        weight = mpf(1)
        for k, y in enumerate(c):
            if k != j:
                weight *= x / (x - y)
        total += weight * _one(b, x)
    return total


def _one(b: mpf, c: mpf) -> mpf:
    """E ReLU(b + c u)^2 of one exponential u."""
    full = b**2 + 2 * b * c + 2 * c**2
    if c > 0:
        return full if b >= 0 else 2 * c**2 * exp(b / c)
    return mpf(0) if b <= 0 else full - 2 * c**2 * exp(b / c)


@dataclass(frozen=True, eq=False)
class Case:
    """Rows, and the same features as the engine and as the rest of the package know them."""

    rows: Rows
    features: Features
    distribution: FeatureDistribution
    stratum: str

    def exact(self) -> tuple[ndarray, ndarray, ndarray]:
        """Value and gradient by enumeration."""
        probability = self.distribution.pattern_probability(active_patterns(self.distribution.n))
        e = enumerated_errors(self.rows.G[None], self.rows.b[None], probability[None], self.distribution.values)
        return e.value[0], e.dG[0], e.db[0]

    @property
    def rounding(self) -> ndarray:
        """What the enumeration's rounding may cost."""
        return ENUMERATION * (0.1 + (np.abs(self.rows.b) + np.abs(self.rows.G).sum(1)) ** 2)


STRATA = ("plain", "tiny", "zero", "integer", "equal", "huge", "antipodal", "untied")


@st.composite
def cases(draw: st.DrawFn, strata: tuple[str, ...] = STRATA, laws: tuple[str, ...] = ("uniform", "binary")) -> Case:
    """Rows of up to six features: couplings 0, 1e-12 ... 1e8, integer, equal; biases to 1e8; densities 1e-6 ... 1."""
    return case(
        np.random.default_rng(draw(seeds)),
        draw(st.sampled_from(strata)),
        draw(st.sampled_from(laws)),
        draw(st.sampled_from(["independent", "correlated", "anticorrelated"])),
    )


def case(rng: np.random.Generator, stratum: str, law: str, kind: str) -> Case:
    """One problem of a stratum."""
    n = int(rng.integers(2, 7))
    W, b = rng.normal(size=(rng.integers(1, 4), n)), rng.normal(size=n) * rng.choice([0, 0.1, 1.0])
    if stratum == "tiny":
        W[:, rng.random(n) < 0.5] *= 10.0 ** rng.uniform(-6, -1)
    elif stratum == "zero":
        W[:, rng.random(n) < 0.5] = 0
    elif stratum == "integer":
        W, b = rng.integers(-3, 4, size=W.shape) * 1.0, rng.integers(-2, 3, size=n) * 1.0
    elif stratum == "equal":
        W, b = np.ones_like(W) * rng.choice([0.3, 1, 3]), -np.ones(n) * rng.choice([0, 0.1, 0.5, 1])
    elif stratum == "huge":
        W, b = W * 10 ** rng.uniform(0, 4), b * 10 ** rng.uniform(0, 8)
    elif stratum == "antipodal":
        W = np.tile([1.0, -1.0], n)[:n][None]
    G = rng.normal(size=(n, n)) * 10 ** rng.uniform(-3, 2) if stratum == "untied" else W.T @ W
    p = 10 ** rng.uniform(-6 if rng.random() < 0.3 else -2, 0, size=n)
    p[rng.random(n) < 0.2] = 1.0
    rows = Rows(G, b, np.arange(n), np.zeros(n))
    if kind == "independent":
        return Case(rows, Features(LAWS[law], p), Independent(p, law), stratum)
    owner = rng.integers(0, n, size=n)
    sets = [tuple(int(j) for j in np.flatnonzero(owner == k)) for k in sorted(set(owner.tolist()))]
    p = p[: len(sets)]
    theirs, ours = {"correlated": (Correlated, AllActive), "anticorrelated": (Anticorrelated, OneActive)}[kind]
    features = Features.of_sets(LAWS[law], n, [ours(s, float(q)) for s, q in zip(sets, p, strict=True)])
    return Case(rows, features, theirs(sets, p, law), stratum)
