"""Densities as polynomials on panels, where they are hardest: singular at both ends, of which one is not at 0."""

import mpmath
import numpy as np
import pytest
from scipy import stats

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


def test_what_is_far_off_warns_nobody() -> None:
    """Powers that no function of heavy laws uses may not be numbers."""
    law = value_law(stats.pareto(2.1))
    assert law.heavy
    assert law.moment(2) == pytest.approx(21, rel=1e-6)
