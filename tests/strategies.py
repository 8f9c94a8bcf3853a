"""Hypothesis strategies: problems and models, bounded so that oracles stay quick and losses of order one."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy import ndarray

from theory import Anticorrelated, Correlated, FeatureDistribution, Independent, Problem

# Densities from 1e-3 (sparser problems only rescale the loss) to 1, which is included.
densities = st.one_of(st.just(1.0), st.floats(-3, 0).map(lambda e: 10.0**e))
seeds = st.integers(0, 2**32 - 1)
laws = st.sampled_from(["uniform", "binary"])


@dataclass(frozen=True, eq=False)
class Model:
    """A problem and parameters that fit it."""

    W: ndarray
    b: ndarray
    problem: Problem


@st.composite
def distributions(draw: st.DrawFn, max_features: int = 6) -> FeatureDistribution:
    """Independent, correlated or anticorrelated features."""
    n = draw(st.integers(1, max_features))
    law = draw(laws)
    if draw(st.booleans()):
        return Independent(draw(st.lists(densities, min_size=n, max_size=n)), law)
    owner = draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))
    sets = [[j for j in range(n) if owner[j] == s] for s in sorted(set(owner))]
    p = draw(st.lists(densities, min_size=len(sets), max_size=len(sets)))
    return draw(st.sampled_from([Correlated, Anticorrelated]))(sets, p, law)


@st.composite
def models(draw: st.DrawFn, max_features: int = 6, max_dimensions: int = 3, smooth: bool = False) -> Model:
    """
    Random embeddings of norm around one, biases around zero.

    Unless the loss is to be smooth (its second derivative jumps where a bias passes 0), some columns are tiny or
    zero, and biases may be exactly 0.
    """
    features = draw(distributions(max_features))
    n, m = features.n, draw(st.integers(1, max_dimensions))
    rng = np.random.default_rng(draw(seeds))
    scale = "plain" if smooth else draw(st.sampled_from(["plain", "tiny columns", "zero columns"]))
    W = rng.normal(size=(m, n))
    chosen = rng.random(n) < 0.4
    if scale == "tiny columns":
        W[:, chosen] *= 10.0 ** rng.uniform(-6, -3)
    elif scale == "zero columns":
        W[:, chosen] = 0.0
    b = rng.normal(size=n) * draw(st.sampled_from([0.1, 1.0] if smooth else [0.0, 0.1, 1.0]))
    return Model(W, b, Problem(m=m, features=features, importance=rng.uniform(0.1, 2, size=n)))


def random_rotation(m: int, seed: int) -> ndarray:
    """A rotation or reflection, uniformly distributed."""
    Q, R = np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))
    return Q * np.sign(np.diag(R))
