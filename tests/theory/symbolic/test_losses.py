"""The linear and the one-sparse loss, derived and numerical."""

from itertools import product

import mpmath
import numpy as np
import pytest
import sympy

from tests.theory.symbolic.exact import MANY_DIGITS, ROUNDING, floats, p, quadrature, rational
from theory import Anticorrelated, Independent, Problem, population_loss
from theory.symbolic import (
    derive_linear_loss,
    derive_one_sparse_loss,
)
from theory.symbolic.algebra.symbols import biases, couplings, densities, importances
from theory.symbolic.moments import expect_value, feature_moment


def test_the_quadrature_is_exact_and_can_tell_a_difference():
    with mpmath.workdps(40):
        value = quadrature(mpmath.mpf(0), [mpmath.mpf(1), mpmath.mpf(-1)])
        assert abs(value - mpmath.mpf(1) / 6) < 1e-35  # E min(u, v)^2, the antipodal pair with both active
        assert abs(quadrature(mpmath.mpf(1) / 10, [mpmath.mpf(1), mpmath.mpf(-1)]) - value) > 1e-3


# --- moments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_moments_are_those_of_the_feature_distribution(values):
    features = Independent([0.3], values=values)
    point = {p: sympy.Rational(3, 10)}
    assert float(feature_moment(1, p, values).xreplace(point)) == pytest.approx(features.mean[0], rel=ROUNDING)
    second = float(feature_moment(2, p, values).xreplace(point))
    assert second == pytest.approx(features.second_moment[0, 0], rel=ROUNDING)


def test_a_feature_is_certain_to_have_the_zeroth_power_one():
    assert feature_moment(0, p) == 1


def test_an_unknown_law_is_refused(without_type_checks):
    u = sympy.Symbol("u")
    with pytest.raises(ValueError, match=r"^values must be uniform.*; got 'normals'$"):
        expect_value(u, u, "normals")


# --- the linear model ------------------------------------------------------------------------------------


def _linear_point(n, m, seed):
    rng = np.random.default_rng(seed)
    W = sympy.Matrix(m, n, lambda i, j: rational(rng, -1, 1))
    b = [rational(rng, -0.5, 0.5) for _ in range(n)]
    weight = [rational(rng, 0.1, 2) for _ in range(n)]
    q = [rational(rng, 0.05, 1) for _ in range(n)]
    return W, b, weight, q


def _at_linear_point(expression, n, b, weight, q):
    point = dict(zip(biases(n), b, strict=True))
    point |= dict(zip(importances(n), weight, strict=True)) | dict(zip(densities(n), q, strict=True))
    return expression.xreplace(point)


@pytest.mark.parametrize("values", ["uniform", "binary"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_the_linear_loss_is_the_numerical_one(n, m, values):
    loss = derive_linear_loss(n, values)
    for seed in range(3):
        W, b, weight, q = _linear_point(n, m, seed)
        exact = _at_linear_point(loss.for_embedding(W), n, b, weight, q)
        problem = Problem(m=m, density=floats(q).ravel(), importance=floats(weight).ravel(), values=values)
        numerical = population_loss(floats(W), floats(b).ravel(), problem, model="linear")
        assert float(exact) == pytest.approx(numerical, rel=ROUNDING)


@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_the_linear_loss_is_a_quadratic_form_in_the_moments(values):
    """Independent route, in fractions: E |A x - b|^2 with A = 1 - W^T W from mean and covariance."""
    W, b, weight, q = _linear_point(3, 2, seed=7)
    mean, square = (sympy.Rational(1, 2), sympy.Rational(1, 3)) if values == "uniform" else (1, 1)
    second = sympy.Matrix(3, 3, lambda i, j: square * q[i] if i == j else mean**2 * q[i] * q[j])
    A = sympy.eye(3) - W.T * W
    first = A * sympy.Matrix([mean * q_i for q_i in q])
    quadratic = A * second * A.T
    expected = sum(weight[i] * (quadratic[i, i] - 2 * b[i] * first[i] + b[i] ** 2) for i in range(3))
    exact = _at_linear_point(derive_linear_loss(3, values).for_embedding(W), 3, b, weight, q)
    assert exact == expected


def test_the_linear_parts_have_the_form_of_saxe():
    loss = derive_linear_loss(4)
    g, weight, q = couplings(4), importances(4), densities(4)
    for i, j in product(range(4), repeat=2):
        variance = q[j] / 3 - q[j] ** 2 / 4
        if i == j:
            assert sympy.expand(loss.benefit[i] - weight[i] * variance * (1 - g[i, i]) ** 2) == 0
        else:
            assert sympy.expand(loss.interference[i, j] - weight[i] * variance * g[i, j] ** 2) == 0


def test_the_optimal_bias_of_the_linear_model_removes_the_error_of_the_mean():
    loss = derive_linear_loss(3)
    best = dict(zip(biases(3), loss.optimal_bias, strict=True))
    for i, b in enumerate(biases(3)):
        assert sympy.expand(sympy.diff(loss.total, b).xreplace(best)) == 0
        assert sympy.expand(loss.mean_error[i].xreplace(best)) == 0


def test_no_features_are_refused():
    with pytest.raises(ValueError, match=r"^n must be at least 1, got 0$"):
        derive_linear_loss(0)
    with pytest.raises(ValueError, match=r"^n must be at least 1, got 0$"):
        derive_one_sparse_loss(0)


def test_an_embedding_that_does_not_fit_is_refused():
    W = sympy.Matrix([[1, 0]])
    with pytest.raises(ValueError, match=r"^W must have 3 columns, one per feature, got shape \(1, 2\)$"):
        derive_linear_loss(3).for_embedding(W)
    message = r"^W must have shape \(m, 3\) and b shape \(3, 1\), got \(1, 2\) and \(2, 1\)$"
    with pytest.raises(ValueError, match=message):
        derive_one_sparse_loss(3).for_parameters(W, sympy.zeros(2, 1))


# --- one active feature ----------------------------------------------------------------------------------


@pytest.mark.parametrize("values", ["uniform", "binary"])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (3, 2), (4, 2)])
def test_the_one_sparse_loss_is_n_times_the_loss_with_exactly_one_active_feature(n, m, values):
    loss = derive_one_sparse_loss(n, values)
    for seed in range(4):
        W, b, weight, _ = _linear_point(n, m, seed)
        at_weight = dict(zip(importances(n), weight, strict=True))
        exact = loss.for_parameters(W, sympy.Matrix(b)).xreplace(at_weight)
        one_active = Anticorrelated([list(range(n))], density=1.0, values=values)
        problem = Problem(m=m, features=one_active, importance=floats(weight).ravel())
        numerical = n * population_loss(floats(W), floats(b).ravel(), problem)
        assert float(exact) == pytest.approx(numerical, rel=ROUNDING)


SIGNS = [(g, b) for g in ("3/5", "-3/5") for b in ("1/4", "-1/4", "4/5", "-4/5", "0")]


@pytest.mark.parametrize(("g", "b"), SIGNS)
def test_every_piece_of_the_one_sparse_loss_is_the_integral(g, b):
    g, b = sympy.Rational(g), sympy.Rational(b)
    generic, bias = couplings(2), biases(2)[0]
    loss = derive_one_sparse_loss(2)
    with mpmath.workdps(40):
        c, z0 = mpmath.mpf(g.p) / g.q, mpmath.mpf(b.p) / b.q
        interference = loss.interference[0, 1].xreplace({generic[0, 1]: g, bias: b, importances(2)[0]: 1})
        assert abs(sympy.N(interference, 45) - quadrature(z0, [c], target=mpmath.mpf(0))) < MANY_DIGITS
        if g > 0:
            benefit = loss.benefit[0].xreplace({generic[0, 0]: g, bias: b, importances(2)[0]: 1})
            assert abs(sympy.N(benefit, 45) - quadrature(z0, [c])) < MANY_DIGITS


def test_the_pieces_of_the_one_sparse_loss_join_where_the_coupling_vanishes():
    generic, bias = couplings(2), biases(2)[0]
    for part, coupling in (
        (derive_one_sparse_loss(2).benefit[0], generic[0, 0]),
        (derive_one_sparse_loss(2).interference[0, 1], generic[0, 1]),
    ):
        for b in (sympy.Rational(1, 5), sympy.Rational(-1, 5), sympy.S.Zero):
            at = lambda g, b=b, part=part, c=coupling: part.xreplace({c: g, bias: b, importances(2)[0]: 1})  # noqa: E731
            assert abs(at(sympy.Rational(1, 10**9)) - at(sympy.S.Zero)) < 1e-8


def test_at_value_one_the_one_sparse_loss_is_the_published_simplification():
    rng = np.random.default_rng(3)
    W, b = rng.uniform(-1, 1, (2, 3)), rng.uniform(-0.5, 0.5, 3)
    gram = W.T @ W
    through = np.maximum(gram + b[:, None], 0.0)
    expected = sum((1 - through[i, i]) ** 2 + sum(through[i, j] ** 2 for j in range(3) if j != i) for i in range(3))
    parts = derive_one_sparse_loss(3, "binary")
    exact = parts.for_parameters(
        sympy.Matrix(W.tolist()).applyfunc(sympy.Rational), sympy.Matrix([sympy.Rational(x) for x in b])
    ).xreplace(dict.fromkeys(importances(3), sympy.S.One))
    assert float(exact) == pytest.approx(expected, rel=ROUNDING)
