"""Every symbolic result against the numerical losses, and against quadrature independent of both."""

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise, product
from math import comb

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st

import theory
from theory import Anticorrelated, Independent, Problem, ideal_candidates, population_loss
from theory.symbolic import (
    Formula,
    ReLU,
    derive_boundaries,
    derive_candidates,
    derive_expansion,
    derive_linear_loss,
    derive_meeting_points,
    derive_one_sparse_loss,
    derive_output,
    derive_outputs,
    derive_triangle,
)
from theory.symbolic.intervals import where
from theory.symbolic.moments import expect_value, feature_moment
from theory.symbolic.regions import on_region
from theory.symbolic.symbols import biases, couplings, densities, density, importances, norms

# Exact rational numbers against double precision: a few hundred roundings of 1e-16.
ROUNDING = 1e-12

# Exact rational numbers against quadrature with 40 digits.
MANY_DIGITS = 1e-30

SMALL = [(2, 1), (3, 2)]
CANDIDATES = [(n, m, name) for n, m in SMALL for name in ideal_candidates(n, m)]

p, r = density(), sympy.Symbol("r", positive=True)


def rational(rng, low, high):
    """A random fraction with a small denominator, so that exact arithmetic stays quick."""
    return sympy.Rational(int(rng.integers(round(low * 60), round(high * 60) + 1)), 60)


def floats(matrix):
    return np.array(sympy.Matrix(matrix).tolist(), dtype=float)


# --- an independent route: Gauss quadrature, exact on the pieces between the kinks -----------------------


def _pieces(b, c, rest):
    """Cut [0, 1] where z = b + c u + (a vertex of the rest) vanishes."""
    cuts = {mpmath.mpf(0), mpmath.mpf(1)}
    for vertex in product((0, 1), repeat=len(rest)):
        if c != 0:
            cuts.add(-(b + sum(v * w for v, w in zip(vertex, rest, strict=True))) / c)
    cuts = sorted(cut for cut in cuts if 0 <= cut <= 1)
    return pairwise(cuts)


def quadrature(b, c, target=None, shift=0):
    """Average (x - ReLU(b + sum_j c_j u_j))^2 over the cube; x is the target, or the first variable if None.

    Between the cuts everything is a polynomial of degree <= 5, which three Gauss nodes integrate exactly.
    """
    if not c:
        return (shift if target is None else target - max(b, 0)) ** 2
    root = mpmath.sqrt(mpmath.mpf(3) / 5)
    total = mpmath.mpf(0)
    for start, end in _pieces(b, c[0], c[1:]):
        half, middle = (end - start) / 2, (end + start) / 2
        for node, weight in ((-root, 5), (mpmath.mpf(0), 8), (root, 5)):
            u = middle + half * node
            x = u if target is None else target
            total += half * mpmath.mpf(weight) / 9 * quadrature(b + c[0] * u, c[1:], x)
    return total


def loss_by_quadrature(W, b, importance, active_probability):
    """Population loss for equal densities, by active sets and quadrature with many digits."""
    n = W.shape[1]
    with mpmath.workdps(40):
        exact = lambda x: mpmath.mpf(sympy.N(x, 45))  # noqa: E731
        gram = [[exact(entry) for entry in row] for row in sympy.simplify(W.T * W).tolist()]
        total = mpmath.mpf(0)
        for active in product((False, True), repeat=n):
            weight = exact(active_probability(sum(active)))
            for i in range(n):
                others = [gram[i][j] for j in range(n) if active[j] and j != i]
                if active[i]:
                    term = quadrature(exact(b[i]), [gram[i][i], *others])
                else:
                    term = quadrature(exact(b[i]), others, target=mpmath.mpf(0))
                total += weight * exact(importance[i]) * term
        return total


def independent(n, density_value):
    return lambda k: density_value**k * (1 - density_value) ** (n - k)


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
    with pytest.raises(ValueError, match=r"^values must be 'uniform' or 'binary', got 'normal'$"):
        expect_value(u, u, "normal")


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


# --- active sets -----------------------------------------------------------------------------------------


def _candidate_point(candidate, seed):
    """Random norms around 1 and biases of both signs, for every symbol of a candidate."""
    rng = np.random.default_rng(seed)
    values = {symbol.name: rational(rng, 0.6, 1.4) for symbol in sorted(candidate.embedding.free_symbols, key=str)}
    values |= {symbol.name: rational(rng, -0.8, 0.5) for symbol in sorted(set(candidate.bias), key=str)}
    return values | {"p": rational(rng, 0.05, 1), "r": rational(rng, 0.1, 5)}


def _embedding_and_bias(candidate, values):
    point = {s: values[s.name] for s in candidate.embedding.free_symbols | set(candidate.bias)}
    return candidate.embedding.xreplace(point), [b.xreplace(point) for b in candidate.bias]


def _numerical_loss(candidate, values):
    W, b = _embedding_and_bias(candidate, values)
    n = W.shape[1]
    importance = [1.0] * (n - 1) + [float(values["r"])]
    problem = Problem(n=n, m=W.shape[0], density=float(values["p"]), importance=importance)
    return population_loss(floats(W), floats(b).ravel(), problem)


@pytest.mark.parametrize(("n", "m", "name"), CANDIDATES)
def test_candidates_with_free_norms_and_biases_have_the_numerical_loss(n, m, name):
    candidate = derive_candidates(n, m)[name]
    for seed in range(5):
        values = _candidate_point(candidate, seed)
        assert float(candidate.loss.at(values)) == pytest.approx(_numerical_loss(candidate, values), rel=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_the_equilateral_triangle_has_the_numerical_loss(seed):
    triangle = derive_triangle()
    values = _candidate_point(triangle, seed)
    assert float(triangle.loss.at(values)) == pytest.approx(_numerical_loss(triangle, values), rel=ROUNDING)


@pytest.mark.parametrize(
    "candidate",
    [derive_candidates(2, 1)["antipodal"], derive_candidates(3, 2)["antipodal"], derive_triangle()],
)
def test_exact_losses_agree_with_quadrature_to_many_digits(candidate):
    for seed in range(2):
        values = _candidate_point(candidate, seed)
        W, b = _embedding_and_bias(candidate, values)
        importance = [sympy.S.One] * (len(b) - 1) + [values["r"]]
        expected = loss_by_quadrature(W, b, importance, independent(len(b), values["p"]))
        exact = sympy.N(candidate.loss.at(values), 45)
        with mpmath.workdps(40):
            assert abs(mpmath.mpf(exact) - expected) < MANY_DIGITS * expected


@pytest.mark.parametrize(("n", "m", "name"), CANDIDATES)
def test_the_expansion_over_active_sets_sums_to_the_loss(n, m, name):
    """The sum over whole active sets and the sum over outputs are derived apart; they agree exactly."""
    candidate = derive_candidates(n, m)[name]
    values = _candidate_point(candidate, seed=11)
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


# --- boundaries ------------------------------------------------------------------------------------------


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
