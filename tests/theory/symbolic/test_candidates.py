"""Exact losses of candidates: active sets, pieces and where they hold, idealised forms."""

from fractions import Fraction
from math import comb

import mpmath
import numpy as np
import pytest
import sympy

from tests.theory.symbolic.exact import (
    CANDIDATES,
    MANY_DIGITS,
    ROUNDING,
    SMALL,
    candidate_point,
    embedding_and_bias,
    floats,
    independent,
    loss_by_quadrature,
    numerical_loss,
    p,
    r,
)
from theory import Problem, ideal_candidates, population_loss
from theory.symbolic import (
    Expansion,
    Formula,
    ReLU,
    candidates,
    derive_candidates,
    derive_expansion,
    derive_output,
    derive_outputs,
    derive_triangle,
    outputs,
)
from theory.symbolic.algebra.regions import on_region


@pytest.mark.parametrize(("n", "m", "name"), CANDIDATES)
def test_candidates_with_free_norms_and_biases_have_thenumerical_loss(n, m, name):
    candidate = derive_candidates(n, m)[name]
    for seed in range(5):
        values = candidate_point(candidate, seed)
        assert float(candidate.loss.at(values)) == pytest.approx(numerical_loss(candidate, values), rel=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_the_equilateral_triangle_has_thenumerical_loss(seed):
    triangle = derive_triangle()
    values = candidate_point(triangle, seed)
    assert float(triangle.loss.at(values)) == pytest.approx(numerical_loss(triangle, values), rel=ROUNDING)


@pytest.mark.parametrize(
    "candidate",
    [derive_candidates(2, 1)["antipodal"], derive_candidates(3, 2)["antipodal"], derive_triangle()],
)
def test_exact_losses_agree_with_quadrature_to_many_digits(candidate):
    for seed in range(2):
        values = candidate_point(candidate, seed)
        W, b = embedding_and_bias(candidate, values)
        importance = [sympy.S.One] * (len(b) - 1) + [values["r"]]
        expected = loss_by_quadrature(W, b, importance, independent(len(b), values["p"]))
        exact = sympy.N(candidate.loss.at(values), 45)
        with mpmath.workdps(40):
            assert abs(mpmath.mpf(exact) - expected) < MANY_DIGITS * expected


@pytest.mark.parametrize(("n", "m", "name"), CANDIDATES)
def test_the_expansion_over_active_sets_sums_to_the_loss(n, m, name):
    """The sum over whole active sets and the sum over outputs are derived apart; they agree exactly."""
    candidate = derive_candidates(n, m)[name]
    values = candidate_point(candidate, seed=11)
    assert Formula(candidate.expansion.total).at(values) == candidate.loss.at(values)


def test_the_expansion_weighs_each_active_set_with_its_probability():
    expansion = derive_candidates(3, 2)["antipodal"].expansion
    assert len(expansion.terms) == 4
    assert sympy.expand(sum(comb(3, k) * expansion.weight(k) for k in range(4))) == 1


@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_any_embedding_without_hidden_zeros_can_be_expanded(values):
    """Three features in two dimensions, all couplings different, biases of both signs."""
    W = sympy.Matrix(
        [[1, sympy.Rational(-1, 3), sympy.Rational(2, 5)], [sympy.Rational(1, 7), 1, sympy.Rational(-4, 5)]]
    )
    b = [sympy.Rational(-1, 10), sympy.Rational(1, 8), sympy.Rational(-3, 10)]
    weight = [1, sympy.Rational(3, 2), sympy.Rational(1, 4)]
    exact = derive_expansion(W, b, weight, values).total.xreplace({p: sympy.Rational(2, 7)})
    problem = Problem(m=2, density=[2 / 7] * 3, importance=floats(weight).ravel(), values=values)
    assert float(exact) == pytest.approx(population_loss(floats(W), floats(b).ravel(), problem), rel=ROUNDING)


def test_a_coupling_that_may_vanish_is_refused():
    x = sympy.Symbol("x", real=True)
    with pytest.raises(ValueError, match=r"^the coupling x may vanish; declare its symbols positive, or put 0$"):
        derive_output(sympy.S.One, [x], 0)


def test_too_many_couplings_are_refused():
    with pytest.raises(ValueError, match=r"^an output is coupled to 6 features; the limit is 5$"):
        derive_output(sympy.S.One, [sympy.S.One] * 5, 0)


def test_shapes_that_do_not_fit_are_refused():
    message = r"^W has 2 columns, so b and importance need 2 entries, got 1 and 2$"
    with pytest.raises(ValueError, match=message):
        derive_expansion(sympy.Matrix([[1, -1]]), [0], [1, 1])


# --- pieces and where they hold --------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "name"), CANDIDATES)
def test_the_piece_around_the_ideal_is_the_loss_inside_its_region(n, m, name):
    candidate = derive_candidates(n, m)[name]
    values = {symbol.name: sympy.Rational(9, 10) for symbol in candidate.embedding.free_symbols}
    for b, ideal in zip(candidate.bias, candidate.ideal_bias, strict=True):
        values[b.name] = sympy.Rational(-1, 20) if ideal == 0 else sympy.Rational(1, 20)
    values |= {"p": sympy.Rational(1, 3), "r": sympy.Rational(5, 2)}
    assert not candidate.near_ideal.expression.has(ReLU)
    assert sympy.simplify(candidate.near_ideal.at(values) - candidate.loss.at(values)) == 0


def test_a_piece_is_refused_outside_its_region_where_it_would_be_wrong():
    pair = derive_candidates(2, 1)["antipodal"]
    values = {"w_1": 1, "w_2": 1, "b_1": sympy.Rational(1, 4), "b_2": 0, "p": sympy.Rational(1, 2), "r": 1}
    point = {symbol: values[symbol.name] for symbol in pair.near_ideal.symbols}
    assert pair.near_ideal.expression.xreplace(point) != pair.loss.at(values)
    with pytest.raises(ValueError, match=r"^the formula holds where .*b_1 <= 0.*, not at b_1 = 1/4, b_2 = 0, "):
        pair.near_ideal.at(values)


def test_the_triangle_piece_leaves_out_conditions_that_follow_from_others():
    w, b = derive_outputs()["T"].arguments
    assert derive_outputs()["T"].near_ideal[0].holds == sympy.And(b <= 0, b + w**2 / 2 >= 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"p": 0.5}, r"^the formula needs a value for r$"),
        ({"p": 2, "r": 1}, r"^the formula holds where p <= 1, not at p = 2, r = 1$"),
        ({"p": 0, "r": 1}, r"^p must be positive, got 0$"),
        ({"p": 0.5, "r": -1}, r"^r must be positive, got -1$"),
    ],
)
def test_a_formula_is_refused_outside_its_domain(values, message):
    with pytest.raises(ValueError, match=message):
        derive_candidates(2, 1)["not represented"].ideal.at(values)


def test_a_float_stands_for_the_number_it_stores():
    loss = derive_candidates(2, 1)["dedicated"].ideal
    q = Fraction(0.3)
    assert loss.at(p=0.3) == sympy.Rational(q / 3 - q**2 / 4)


def test_a_point_that_leaves_a_sign_open_is_refused():
    x, y = sympy.symbols("x y", real=True)
    with pytest.raises(ValueError, match=r"^the point must give a value to y$"):
        on_region([ReLU(x + y)], {x: sympy.S.One})


# --- idealised candidates --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3), (5, 3)])
def test_idealised_losses_are_the_numerical_ones(n, m):
    derived = derive_candidates(n, m)
    numerical = ideal_candidates(n, m)
    assert list(derived) == list(numerical)
    for name, candidate in derived.items():
        assert np.array_equal(floats(candidate.ideal_embedding), numerical[name].embedding)
        for q, weight in ((0.3, 2.0), (1.0, 0.25)):
            problem = Problem(n=n, m=m, density=q, importance=[1.0] * (n - 1) + [weight])
            expected = population_loss(numerical[name].embedding, numerical[name].bias(q), problem)
            # a loss of zero (all features dedicated) is exact too
            assert float(candidate.ideal.at(p=q, r=weight)) == pytest.approx(expected, rel=ROUNDING, abs=1e-300)


def test_idealised_losses_follow_from_the_free_ones():
    for name, candidate in derive_candidates(3, 2).items():
        values = {symbol.name: 1 for symbol in candidate.embedding.free_symbols} | {
            "p": sympy.Rational(2, 7),
            "r": 3,
        }
        at_p = {p: values["p"]}
        values |= {b.name: c.xreplace(at_p) for b, c in zip(candidate.bias, candidate.ideal_bias, strict=True)}
        assert candidate.loss.at(values) == candidate.ideal.at(values), name


def test_the_published_losses_come_out():
    unstored = p / 3 - p**2 / 4
    expected = {
        "not represented": r * unstored,
        "dedicated": unstored,
        "dedicated, others antipodal": p**2 / 3,
        "antipodal": (1 + r) * p**2 / 6,
    }
    for n, m in SMALL:
        for name, candidate in derive_candidates(n, m).items():
            assert sympy.expand(candidate.ideal.expression - expected[name]) == 0


def test_the_idealised_bias_is_the_mean_of_an_unrepresented_feature():
    assert derive_candidates(3, 2)["not represented"].ideal_bias == (0, 0, p / 2)


def test_boundaries_do_not_wait_for_the_triangle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The triangle is no candidate of the diagram, and its loss takes as long to derive as all the others' together."""
    derived = []

    def noted(own: sympy.Expr, others: list[sympy.Expr], b: sympy.Symbol) -> Expansion:
        derived.append(len(others))
        return derive_output(own, others, b)

    monkeypatch.setattr(outputs, "derive_output", noted)
    for cached in (outputs.output_of_kind, candidates._candidates):
        cached.cache_clear()
    derive_candidates(3, 2)
    assert sorted(derived) == [0, 0, 1]
