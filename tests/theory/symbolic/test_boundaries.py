"""Boundaries between idealised candidates, and what they rest on."""

import subprocess
import sys
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

import theory
from tests.theory.symbolic.exact import (
    SMALL,
    p,
    r,
)
from theory import ideal_candidates
from theory.symbolic import (
    ReLU,
    derive_boundaries,
    derive_candidates,
    derive_meeting_points,
    derive_triangle,
)
from theory.symbolic.algebra.intervals import where
from theory.symbolic.algebra.symbols import norms


def _boundary(n, m, first, second):
    (found,) = [b for b in derive_boundaries(n, m) if (b.first, b.second) == (first, second)]
    return found


def _equal(left, right):
    return sympy.simplify(left - right) == 0


@pytest.mark.parametrize(("n", "m"), SMALL)
def test_not_represented_meets_antipodal_where_the_literature_says(n, m):
    found = _boundary(n, m, "not represented", "antipodal")
    assert _equal(found.density.expression, 4 * r / (2 + 5 * r))
    assert found.density.at(r=1) == sympy.Rational(4, 7)
    assert _equal(found.importance.expression, 2 * p / (4 - 5 * p))
    assert found.visible == sympy.Interval.Lopen(0, sympy.Rational(4, 7))


def test_two_features_have_three_boundaries_and_one_triple_point():
    found = {(b.first, b.second): b for b in derive_boundaries(2, 1)}
    assert len(found) == 3
    dedicated = found["dedicated", "antipodal"]
    assert _equal(dedicated.density.expression, 4 / (5 + 2 * r))
    assert dedicated.visible == sympy.Interval.Lopen(0, sympy.Rational(4, 7))
    swap = found["not represented", "dedicated"]
    assert swap.importance.expression == 1
    assert swap.density is None
    assert swap.visible == sympy.Interval(sympy.Rational(4, 7), 1)
    (triple,) = derive_meeting_points(2, 1)
    assert (triple.density, triple.importance, triple.loss) == (
        sympy.Rational(4, 7),
        1,
        sympy.Rational(16, 147),
    )
    assert triple.candidates == ("not represented", "dedicated", "antipodal")


def test_three_features_have_six_boundaries_and_a_point_where_all_four_meet():
    found = {(b.first, b.second): b for b in derive_boundaries(3, 2)}
    assert len(found) == 6
    assert {pair for pair, b in found.items() if not b.is_visible} == {
        ("not represented", "dedicated, others antipodal"),
        ("dedicated", "antipodal"),
    }
    across = found["dedicated", "dedicated, others antipodal"]
    assert across.density.expression == sympy.Rational(4, 7)
    assert across.visible == sympy.Interval(1, sympy.oo)
    assert found["dedicated, others antipodal", "antipodal"].importance.expression == 1
    (point,) = derive_meeting_points(3, 2)
    assert (point.density, point.importance) == (sympy.Rational(4, 7), 1)
    assert point.candidates == tuple(ideal_candidates(3, 2))


@pytest.mark.parametrize(("n", "m"), [(4, 3), (5, 4)])
def test_one_missing_dimension_gives_the_same_diagram_whatever_the_size(n, m):
    shape = {(b.equation, b.visible) for b in derive_boundaries(n, m)}
    assert shape == {(b.equation, b.visible) for b in derive_boundaries(3, 2)}


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2)])
def test_losses_are_equal_on_a_boundary_and_no_other_is_lower_where_it_is_visible(n, m):
    losses = {name: candidate.ideal for name, candidate in derive_candidates(n, m).items()}
    for boundary in derive_boundaries(n, m):
        for value in (sympy.Rational(1, 9), sympy.Rational(3, 8), sympy.Rational(5, 7), sympy.Rational(9, 5)):
            solution = boundary.importance or boundary.density
            if solution.holds.xreplace({boundary.along: value}) != sympy.true or (boundary.importance and value > 1):
                continue
            q, weight = boundary.point(value)
            here = {name: loss.at(p=q, r=weight) for name, loss in losses.items()}
            assert here[boundary.first] == here[boundary.second]
            assert (here[boundary.first] == min(here.values())) == (value in boundary.visible)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 2)])
def test_solving_for_r_and_for_p_is_the_same_curve(n, m):
    for boundary in derive_boundaries(n, m):
        if boundary.importance and boundary.density and boundary.density.expression.has(r):
            assert _equal(boundary.importance.expression.xreplace({p: boundary.density.expression}), r)


def _lowest(coefficients, q, weight):
    """Exact losses at a point; coefficients are those of p, p^2 at r^0 and r^1."""
    losses = {name: a(q) + weight * b(q) for name, (a, b) in coefficients.items()}
    lowest = min(losses.values())
    return frozenset(name for name, loss in losses.items() if loss == lowest)


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_every_change_of_the_lowest_candidate_is_a_visible_boundary(n, m):
    """Walk through the diagram along r at fixed p: every change must be listed, and at the right r."""
    coefficients = {}
    for name, candidate in derive_candidates(n, m).items():
        loss = sympy.Poly(candidate.ideal.expression, r)
        a, b = (sympy.lambdify(p, loss.coeff_monomial(r**k), "math") for k in (0, 1))
        coefficients[name] = (a, b)
    for q in (0.1, 0.3, 0.55, 0.6, 0.79, 0.95):
        grid = np.geomspace(0.05, 20, 400)
        path = [_lowest(coefficients, q, weight) for weight in grid]
        changes = [(grid[k], grid[k + 1], path[k], path[k + 1]) for k in range(399) if path[k] != path[k + 1]]
        assert changes  # otherwise this test could not fail
        for low, high, before, after in changes:
            listed = [
                b
                for b in derive_boundaries(n, m)
                if {b.first, b.second} == set(before | after)
                and b.importance
                and low <= b.importance.at(p=q) <= high
                and sympy.Rational(q) in b.visible
            ]
            assert len(listed) == 1


def test_the_idealised_triangle_is_never_the_lowest_candidate():
    triangle = derive_triangle().ideal
    others = [candidate.ideal for candidate in derive_candidates(3, 2).values()]
    for q, weight in product([Fraction(k, 16) for k in range(1, 17)], [Fraction(2) ** k for k in range(-4, 5)]):
        assert triangle.at(p=q, r=weight) > min(other.at(p=q, r=weight) for other in others)


def test_when_every_feature_has_a_dimension_there_is_no_boundary():
    assert derive_boundaries(3, 3) == ()
    assert derive_meeting_points(3, 3) == ()


# Zeros and poles on, inside and outside the domain [-2, 2]; a finer lattice would only be slower.
LATTICE = st.integers(-6, 6).map(lambda k: Fraction(k, 2))


@given(zero=LATTICE, pole=LATTICE, strict=st.booleans())
def test_intervals_tell_where_a_rational_function_is_positive(zero, pole, strict):
    assume(zero != pole)  # they would cancel
    x = sympy.Symbol("x")
    function = (x - sympy.Rational(zero)) / (x - sympy.Rational(pole))
    domain = sympy.Interval(-2, 2)
    found = where(x, domain, **{"positive" if strict else "nonnegative": [function]})
    for point in (Fraction(k, 4) for k in range(-9, 10)):
        inside = abs(point) <= 2 and point != pole
        if inside:
            value = (point - zero) / (point - pole)
            inside = value > 0 if strict else value >= 0
        assert (sympy.Rational(point) in found) == inside


# --- symbols and imports ---------------------------------------------------------------------------------


def test_relu_evaluates_where_assumptions_decide():
    (w,), b = norms(1), sympy.Symbol("b", real=True)
    assert ReLU(w**2) == w**2
    assert ReLU(-w) == 0
    assert ReLU(w + b).func is ReLU
    assert ReLU(w + b).xreplace({w: sympy.S.One, b: sympy.S(-2)}) == 0
    assert sympy.latex(ReLU(b) ** 2) == r"\operatorname{ReLU}^{2}\left(b\right)"


def test_theory_exports_the_derivations_without_importing_sympy():
    program = (
        "import sys, theory; dir(theory); assert 'sympy' not in sys.modules; theory.ideal_candidates(2, 1);"
        "assert 'sympy' not in sys.modules; theory.derive_boundaries(2, 1)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "derive_boundaries",
        "derive_candidates",
        "derive_expansion",
        "derive_linear_loss",
        "derive_meeting_points",
        "derive_one_sparse_loss",
        "derive_triangle",
    ],
)
def test_public_derivations_are_documented(name):
    assert "Returns" in getattr(theory, name).__doc__
