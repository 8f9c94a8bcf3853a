"""Draws against the distribution they claim to come from."""

import numpy as np
import pytest
from hypothesis import given
from numpy import ndarray
from scipy import stats

from numerics.sampling.batches import column_batches, row_batches
from numerics.sampling.draws import sample, sample_sparse
from tests.strategies import distributions, seeds
from theory import Anticorrelated, Correlated, FeatureDistribution, Independent
from theory.model.values import UNIFORM, Symmetrised

SAMPLES = 40_000
# A correct sampler fails a test at this level once in 10^5 runs; seeds are fixed, so either always or never.
LEVEL = 1e-5

DISTRIBUTIONS = [
    Independent([0.05, 0.3, 0.12, 0.6]),
    Independent([0.1, 0.1, 0.1, 0.1], values="binary"),
    Correlated([[0, 2], [1, 3]], [0.2, 0.5]),
    Anticorrelated([[0, 3, 2], [1]], [0.6, 0.2]),
    Anticorrelated([[0, 1], [2, 3]], 1.0, values="binary"),
]
SPARSE = [
    Independent([0.05, 0.19, 0.12, 0.01]),
    Independent([0.2, 0.2, 0.2]),
    Independent([0.1, 0.1, 0.1, 0.1], values="binary"),
]


def pattern_p_value(x: ndarray, features: FeatureDistribution) -> float:
    """Chi-square test of which features are active together."""
    n = features.n
    patterns = (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1
    expected = features.pattern_probability(patterns) * len(x)
    seen = np.bincount((x > 0) @ 2 ** np.arange(n), minlength=2**n)
    assert seen[expected == 0].sum() == 0
    rare = expected < 5
    observed = np.append(seen[~rare], seen[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    return stats.chisquare(observed[wanted > 0], wanted[wanted > 0]).pvalue


def check_law(x: ndarray, features: FeatureDistribution) -> None:
    """Check patterns, first and second moments, and the values of active features."""
    assert pattern_p_value(x, features) > LEVEL
    spread = x.std(axis=0) / np.sqrt(len(x))
    np.testing.assert_array_less(np.abs(x.mean(0) - features.mean), 5 * spread + 1e-12)
    products = x[:, :, None] * x[:, None, :]
    spread = products.std(axis=0) / np.sqrt(len(x))
    np.testing.assert_array_less(np.abs(products.mean(0) - features.second_moment), 5 * spread + 1e-12)
    active = x[x > 0]
    if features.values == UNIFORM:
        assert stats.kstest(active, "uniform").pvalue > LEVEL
    else:
        assert (active == 1).all()


@pytest.mark.parametrize("features", DISTRIBUTIONS)
def test_dense_draws_follow_the_distribution(features: FeatureDistribution) -> None:
    check_law(sample(features, SAMPLES, np.random.default_rng(1)), features)


@pytest.mark.parametrize("features", SPARSE)
def test_sparse_draws_follow_the_distribution(features: Independent) -> None:
    check_law(sample_sparse(features, SAMPLES, np.random.default_rng(2)), features)


def drawn_in_columns(features: FeatureDistribution, size: int, batches: int, run: int) -> ndarray:
    """Collect one run's samples from a stream of column batches, empty ones included."""
    stream = column_batches(features, size, np.random.default_rng(3), np.float32)
    collected = []
    for _, batch in zip(range(batches), stream, strict=False):
        assert (batch.x[:, -1] == 1).all()
        assert batch.x.shape[2] + batch.empty == size
        x = batch.x[run, :-1].T
        collected += [x.copy(), np.zeros((batch.empty, features.n), x.dtype)]
    return np.concatenate(collected).astype(float)


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize(
    "features",
    [
        Independent([[0.05, 0.05, 0.05, 0.05], [0.2, 0.2, 0.2, 0.2]]),
        Independent([[0.05, 0.19, 0.12, 0.01], [0.1, 0.01, 0.01, 0.1]], values="binary"),
        Independent([[0.05, 0.19, 0.12, 0.01], [0.1, 0.01, 0.01, 0.1]]),
        Independent([[0.5, 0.9, 0.12, 1.0], [0.1, 0.01, 0.01, 0.1]]),
        Correlated([[0, 2], [1, 3]], [[0.2, 0.5], [0.1, 0.1]]),
    ],
)
def test_column_batches_follow_the_distribution(features: FeatureDistribution, run: int) -> None:
    own = features.with_density(features.density[run])
    check_law(drawn_in_columns(features, 400, 100, run), own)


@pytest.mark.parametrize("features", [*DISTRIBUTIONS, *SPARSE])
def test_row_batches_follow_the_distribution(features: FeatureDistribution) -> None:
    runs = features.with_density(np.stack([features.density, features.density]))
    stream = row_batches(runs, 400, np.random.default_rng(4), np.float32)
    x = np.concatenate([batch.x[1].copy() for _, batch in zip(range(100), stream, strict=False)])
    check_law(x.astype(float), features)


def test_the_test_of_the_law_rejects_a_slightly_wrong_one() -> None:
    features = Independent([0.05, 0.3, 0.12, 0.6])
    wrong = features.with_density(1.1 * features.density)
    with pytest.raises(AssertionError):
        check_law(sample(wrong, SAMPLES, np.random.default_rng(1)), features)


@pytest.mark.parametrize("values", ["uniform", "binary"])
@pytest.mark.parametrize("p", [0.1, 0.7])
def test_symmetric_values_have_mean_zero_and_the_same_square(values: str, p: float) -> None:
    features = Independent([p, p], values=values)
    signed = features.with_values(Symmetrised(features.values))
    draws = [sample] if p > 0.5 else [sample, sample_sparse]
    for draw in draws:
        x = draw(signed, SAMPLES, np.random.default_rng(5))
        active = x[x != 0]
        assert abs(active.mean()) < 5 / np.sqrt(len(active))
        assert pattern_p_value(np.abs(x), features) > LEVEL
        assert np.mean(active**2) == pytest.approx(features.value_square, rel=0.05)


@given(distributions(), seeds)
def test_equal_seeds_give_equal_draws(features: FeatureDistribution, seed: int) -> None:
    a, b = (sample(features, 20, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (20, features.n)


@given(distributions(), seeds)
def test_draws_never_show_an_impossible_pattern(features: FeatureDistribution, seed: int) -> None:
    x = sample(features, 50, np.random.default_rng(seed))
    assert (features.pattern_probability(x > 0) > 0).all()
    assert ((x >= 0) & (x <= 1)).all()


def test_a_batch_of_distributions_is_drawn_entry_by_entry() -> None:
    features = Independent(np.array([[[0.1, 0.9]], [[0.9, 0.1]]]))
    x = sample(features, 2000, np.random.default_rng(6), dtype=np.float32)
    assert x.shape == (2, 1, 2000, 2)
    assert x.dtype == np.float32
    np.testing.assert_allclose((x > 0).mean(2), features.density, atol=0.05)


def test_sparse_sampling_refuses_what_it_cannot_draw() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="density of 1 cannot be drawn sparsely"):
        sample_sparse(Independent([0.5, 1.0]), 10, rng)
