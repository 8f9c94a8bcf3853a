"""Bounds on the number of almost orthogonal directions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import gammaln

from theory import welch_bound
from theory.frames.directions import (
    largest_cosine,
    log_covering,
    log_explicit,
    log_guaranteed,
    log_upper,
)


@pytest.mark.parametrize("angle", [1, 5, 15, 30, 57, 75, 85, 89.9])
def test_what_is_guaranteed_never_exceeds_the_upper_bound(angle: int) -> None:
    eps = largest_cosine(angle)
    for d in [2, 10, 77, *np.geomspace(3, 1e6, 25).round()]:
        assert np.log(d) - 1e-9 <= log_guaranteed(d, eps) <= log_upper(d, eps) + 1e-9


def test_any_cosine_below_one_has_an_upper_bound() -> None:
    for d, eps in ((77, 0.8414), (2, 0.99), (10, largest_cosine(75)), (2, largest_cosine(85))):
        k = np.arange(1.0, 20_000)
        inverse = np.exp(gammaln(k + 1) + gammaln(d) - gammaln(d + k)) - eps ** (2 * k)
        welch = ((1 - eps ** (2 * k)) / inverse)[inverse > 0].min()
        assert welch * (1 - 1e-6) < np.exp(log_upper(d, eps)) < welch * 1.001
        assert d > 2 or np.exp(log_upper(2, eps)) > np.pi / np.arccos(eps) - 1  # lines at equal angles
    assert np.exp(log_upper(77, 0)) == pytest.approx(77)
    for d, eps in ((1, 0.5), (3, 1.0), (3, -0.1), (3, np.nan)):
        with pytest.raises(ValueError, match="d must be at least 2 and eps in"):
            log_upper(d, eps)


def test_the_first_upper_bound_is_the_inverse_of_welchs() -> None:
    d, eps = 50, 0.1
    n = int(np.exp(log_upper(d, eps)) + 1e-9)
    assert welch_bound(n, d) <= eps < welch_bound(n + 1, d)


def test_icosahedron_and_tight_frames_meet_the_upper_bound() -> None:
    assert_allclose(np.exp(log_upper(3, 1 / np.sqrt(5))), 6, rtol=1e-12)  # six diagonals
    assert_allclose(np.exp(log_upper(2, 0.5)), 3, rtol=1e-12)  # three lines at 60 degrees


def test_the_covered_part_of_the_circle_and_the_sphere() -> None:
    assert_allclose(np.exp(-log_covering(2, 0.5)), 2 / 3, rtol=1e-12)  # |cos| > 1/2 on two thirds of the circle
    assert_allclose(np.exp(-log_covering(3, 0.3)), 0.7, rtol=1e-12)  # heights are uniform on the sphere


def test_the_bound_used_where_the_probability_underflows_is_close_and_on_the_safe_side() -> None:
    eps = largest_cosine(1)
    below, above = log_covering(3.25e6, eps), log_covering(3.26e6, eps)
    rate = -0.5 * np.log1p(-(eps**2))
    assert below < 500 < log_covering(3.27e6, eps)
    assert_allclose(above - below, 1e4 * rate, atol=0.05)
    exact, bound = log_covering(2e6, eps), np.log(eps) + 0.5 * np.log(np.pi * 2e6 / 2) + 2e6 * rate
    assert bound < exact < bound + 0.05


def test_explicit_sets() -> None:
    assert_allclose(np.exp(log_explicit(16, 0.25)), 144)  # nine bases
    assert_allclose(np.exp(log_explicit(34, 0.25)), 2 * 17**2)
    assert_allclose(np.exp(log_explicit(34, 0.2)), 34)
