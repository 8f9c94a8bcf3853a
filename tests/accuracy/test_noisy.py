"""The oracle with noise against sampling, differences, and the oracle without."""

import numpy as np
import pytest
from flint import fmpq
from numpy import ndarray
from scipy.special import erfc

from theory import Anticorrelated, Correlated, FeatureDistribution, Independent
from theory.loss.enumeration import active_patterns
from theory.model.values import UNIFORM

from .noisy import noisy_output
from .oracle import ExactOutput, exact_output, rational, to_float
from .problems import STRATA

SETS = [[6, 1], [3], [0, 4, 7], [5], [2]]
DISTRIBUTIONS = [
    Independent(np.linspace(0.2, 0.9, 8)),
    Correlated(SETS, np.linspace(0.2, 0.9, 5)),
    Anticorrelated(SETS, np.linspace(0.2, 0.9, 5)),
    Independent(np.linspace(0.2, 0.9, 8), "binary"),
]


def rows(seed: int) -> tuple[list[fmpq], fmpq]:
    rng = np.random.default_rng(seed)
    return [rational(x) for x in rng.normal(size=8)], rational(0.1 * rng.normal())


def numbers(found: ExactOutput) -> ndarray:
    return np.array([to_float(x) for x in (found.value, *found.couplings, found.bias, found.noise)])


@pytest.mark.parametrize("features", DISTRIBUTIONS)
def test_noise_agrees_with_sampling_values_and_averaging_over_noise(features: FeatureDistribution) -> None:
    """Given x, value and slopes are Gaussian integrals; x is sampled by sets of active features."""
    rng, own, variance, size = np.random.default_rng(0), 4, 0.4, 5000
    c, b = rows(1)
    g, bias = np.array([to_float(x) for x in c]), to_float(b)
    mean, spread = np.zeros(11), np.zeros(11)
    patterns = active_patterns(8)
    for active, probability in zip(patterns, features.pattern_probability(patterns), strict=True):
        if not probability:
            continue
        x = active * (rng.random((size, 8)) if features.values == UNIFORM else np.ones((2, 8)))
        z, e = bias + x @ g, x[:, own]
        on, density = (
            erfc(-z / np.sqrt(2 * variance)) / 2,
            np.exp(-(z**2) / 2 / variance) / np.sqrt(2 * np.pi * variance),
        )
        first = z * on + variance * density  # E ReLU, and E ReLU^2 below
        second = (z**2 + variance) * on + z * variance * density
        slope = 2 * first - 2 * e * on
        sample = np.c_[e**2 - 2 * e * first + second, slope[:, None] * x, slope, on - e * density]
        mean += probability * sample.mean(0)
        spread += probability**2 * sample.var(0) / len(x)
    error = np.sqrt(spread) + 1e-13  # rounding, where values are binary and nothing is random
    answer = numbers(noisy_output(c, b, own, features, rational(variance)))
    assert (4 * error < 0.05 * np.abs(answer).max()).all(), "the estimate could not see an error of 5 %"
    assert (np.abs(mean - answer) < 4 * error).all()


@pytest.mark.parametrize("features", DISTRIBUTIONS)
def test_slopes_are_limits_of_differences(features: FeatureDistribution) -> None:
    c, b = rows(2)
    start, step = [*c, b, rational(0.3)], fmpq(1, 2**20)

    def value(x: list[fmpq]) -> fmpq:
        return noisy_output(x[:8], x[8], 0, features, x[9]).value

    found = noisy_output(c, b, 0, features, start[9])
    for place, slope in enumerate((*found.couplings, found.bias, found.noise)):
        up, down = ([x + s * step if k == place else x for k, x in enumerate(start)] for s in (1, -1))
        # The square of the step, times a third derivative of some ten.
        assert abs(to_float((value(up) - value(down)) / (2 * step) - slope)) < 10 * to_float(step) ** 2


@pytest.mark.parametrize("name", [name for name in STRATA if name != "extreme scales"])
def test_little_noise_changes_little(name: str) -> None:
    """To first order by the variance times the slope in it; couplings and biases of many scales."""
    stratum, rng = STRATA[name], np.random.default_rng(3)
    W, b = stratum.embedding(rng, 6)
    features = stratum.sets(rng, 6, stratum.density, "uniform")
    couplings = [rational(x) for x in (W.T @ W)[2]]
    variance = fmpq(1, 2**240)
    with_noise = noisy_output(couplings, rational(b[2]), 2, features, variance)
    change = with_noise.value - exact_output(couplings, rational(b[2]), 2, features).value
    assert abs(to_float(change)) < 2.0**-80
