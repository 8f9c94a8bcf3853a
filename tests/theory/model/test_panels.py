"""Densities as polynomials on panels, where they are hardest: singular at both ends, of which one is not at 0."""

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy import ndarray
from numpy.testing import assert_allclose
from scipy import stats

import theory
from theory.model.fitted_panels import fitted_panels
from theory.model.heavy_panels import HeavyPanels
from theory.model.histogram_values import Histogram
from theory.model.numerical_values import Numerical
from theory.model.values import value_law

A = np.array([0.3, 1.7, 20.0, 300.0])


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (0.1, 0.1), (0.05, 0.2), (0.1, 3.0)])
def test_densities_that_are_singular_at_both_ends(a: float, b: float) -> None:
    """What is left of 1 - u near u = 1 has few digits: halving panels does not bring them back, and would go on."""
    law = value_law(f"scipy:beta,{a},{b}")
    assert isinstance(law, Numerical)
    for order, found in enumerate(law.transforms(A, 2)):
        with mpmath.workdps(40):
            x, y = mpmath.mpf(a) + order, mpmath.mpf(a) + mpmath.mpf(b) + order
            scale = mpmath.rf(mpmath.mpf(a), order) / mpmath.rf(mpmath.mpf(a) + mpmath.mpf(b), order)
            exact = [complex(1j**order * scale * mpmath.hyp1f1(x, y, 1j * mpmath.mpf(t))) for t in A]
        assert np.abs(found - exact).max() < law.transform_error < 1e-10
    assert len(law._panels.half) < 200


def test_transforms_beyond_the_table_and_in_a_longer_one_are_exact() -> None:
    law = value_law("scipy:beta,0.1,0.1")
    assert isinstance(law, Numerical)
    a = np.array([0.7, 2900.3, 6100.1, 8999.9])
    found = [law.transforms(a, 2)]
    cells = law._panels.table.values.shape[1]
    law.transforms(np.linspace(3000, 9000, 100_000), 0)
    assert law._panels.table.values.shape[1] > 2 * cells
    found.append(law.transforms(a, 2))
    for order in range(3):
        with mpmath.workdps(40):
            x, y = mpmath.mpf(0.1), 2 * mpmath.mpf(0.1)
            scale = mpmath.rf(x, order) / mpmath.rf(y, order)
            exact = [complex(1j**order * scale * mpmath.hyp1f1(x + order, y + order, 1j * mpmath.mpf(t))) for t in a]
        for values in found:
            assert (np.abs(values[order] - exact) < law.transform_error + 1e-15 * a).all()


def test_what_is_far_off_warns_nobody() -> None:
    """Powers that no function of heavy laws uses may not be numbers."""
    law = value_law(stats.pareto(2.1))
    assert law.heavy
    assert law.moment(2) == pytest.approx(21, rel=1e-6)


@pytest.mark.parametrize(
    "frozen",
    [stats.skewnorm(3), stats.skewnorm(-4), stats.foldnorm(1), stats.beta(1e6, 1e6), stats.gumbel_r(),
     stats.burr(10.5, 4.3), stats.exponpow(2.7)],
    ids=lambda frozen: frozen.dist.name,
)  # fmt: skip
def test_exponential_moments_are_no_less_than_the_means(frozen: Any) -> None:
    """Jensen's inequality, also where rounding makes weights of the last panels negative."""
    law = value_law(frozen)
    s = np.concatenate([-np.geomspace(1e-3, 1e3, 60), np.geomspace(1e-3, 1e3, 60)]) / np.sqrt(frozen.var())
    assert (law.log_mgf(s) >= s * law.mean - 1e-9 * np.abs(s * law.mean) - 1e-12).all()


def test_the_loss_of_a_skewed_law_is_within_its_error_of_samples() -> None:
    """Its window was a third of what it should be, without a word."""
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(3, 7)), rng.normal(size=7) / 10
    for frozen in (stats.skewnorm(3), stats.foldnorm(1)):
        x = (rng.random((100_000, 7)) < 0.2) * frozen.rvs((100_000, 7), random_state=rng)
        losses = ((x - np.maximum(x @ W.T @ W + b, 0)) ** 2).sum(1)
        loss = theory.population_loss(W, b, theory.Problem(n=7, m=3, density=0.2, values=value_law(frozen)))
        assert abs(loss - losses.mean()) < 4.5 * losses.std() / np.sqrt(len(losses))


def exact_histogram(law: Histogram, frequency: float, order: int) -> list[complex]:
    """E (iu)^k exp(iau) bin by bin, in 80 digits."""

    def antiderivative(u: mpmath.mpf, k: int) -> mpmath.mpc:
        terms = ((-1) ** j * mpmath.ff(k, j) * u ** (k - j) / (1j * a) ** (j + 1) for j in range(k + 1))
        return mpmath.fsum(terms) * mpmath.exp(1j * a * u)

    with mpmath.workdps(80):
        a, ends = mpmath.mpf(frequency), [mpmath.mpf(end) for end in law.edges]
        shares = [q / (high - low) for q, low, high in zip(law.probabilities, ends[:-1], ends[1:], strict=True)]
        found = []
        for k in range(order + 1):
            at = [antiderivative(end, k) for end in ends]
            parts = (q * (high - low) for q, low, high in zip(shares, at[:-1], at[1:], strict=True))
            found.append(complex(mpmath.mpc(0, 1) ** k * mpmath.fsum(parts)))
    return found


@pytest.mark.parametrize(
    ("edges", "shares", "order"),
    [
        ([2.0, 5.0], [1.0], 3),
        ([-1.0, 0.0, 0.5, 2.0, 2.5], [1 / 8, 3 / 8, 0.0, 1 / 2], 3),
        ([1000.0, 1000.1, 1000.7, 1001.0], [0.2, 0.5, 0.3], 3),
        ([-30001.0, -30000.0, -29999.5], [0.2, 0.8], 3),
        ([0.0, 1e-6, 4e-6], [0.7, 0.3], 3),
        ([0.0, 1e5, 4e5], [0.7, 0.3], 3),
        ([0.0, 1e-7, 1.0], [0.5, 0.5], 3),
        (np.geomspace(0.01, 100, 21), np.ones(20) / 20, 3),
        ([0.0, 1.0, 2.0, 100.0, 101.0], [0.5, 0.499, 0.0, 1e-3], 1),
    ],
    ids=["one bin", "empty bin", "far off", "negative", "small", "large", "thin bin", "skewed", "outlier"],
)
def test_the_transform_of_a_histogram_is_the_sum_over_its_bins(edges: ndarray, shares: ndarray, order: int) -> None:
    law = Histogram(tuple(map(float, edges)), tuple(map(float, shares)))
    deviation = np.sqrt(law.square - law.mean**2)
    a = np.array([-0.4, 1e-3, 0.3, 1.9, 17.77, 333.3, 2500.0]) / deviation
    largest = min(np.abs(law.support).max(), 8 * np.sqrt(law.square))
    allowed = law.transform_error + 1e-15 * (1 + np.abs(a) * largest)  # and the last digit of au
    assert law.transform_error < 1e-12
    exact = np.array([exact_histogram(law, float(x), order) for x in a]).T
    for k, found in enumerate(law.transforms(a, order)):
        assert (np.abs(found - exact[k]) < allowed * largest**k).all()


@pytest.mark.parametrize("orders", [(0, 1), (2,), (0, 1, 2), (3, 1)])
def test_orders_asked_for_alone_are_those_of_all(orders: tuple[int, ...]) -> None:
    """Below, on and beyond the cells of a heavy law, on both sides of 0."""
    panels = fitted_panels("lognormal", stats.lognorm(1))
    assert isinstance(panels, HeavyPanels)
    ends = panels.cells[0]
    a = np.concatenate(
        [ends[0] * np.array([0.1, 0.5]), np.geomspace(ends[0], ends[-1], 50), ends[-1] * np.array([1.5, 3.0])]
    )
    a = np.concatenate([-a, a])
    every = panels.of(a, (0, 1, 2, 3))
    for order, found in zip(orders, panels.of(a, orders), strict=True):
        assert_allclose(found, every[order], rtol=0, atol=1e-14 * np.abs(every[order]).max())
