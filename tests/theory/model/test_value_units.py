"""What is computed hangs on no unit: with values s v losses are s^2 times as large, biases s times."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import numerics
import theory
from theory.frames.prediction import even_frame
from theory.loss.decomposition import by_active_features
from theory.loss.terms import hidden_l1
from theory.model.activations import Activation, Kink
from theory.model.affine_values import Affine
from theory.model.terms import Terms
from theory.model.value_protocol import ValueLaw
from theory.model.value_units import in_units, natural_law, unit_law
from theory.model.values import BINARY, UNIFORM, value_law
from theory.model.variant import Variant

RNG = np.random.default_rng(0)
# A law, the same with values SCALE times as large, and SCALE.
SCALED = [
    ("uniform", "uniform:1e-8", 1e-8),
    ("uniform", "uniform:0,3", 3.0),
    ("exponential", "exponential:1e-8", 1e-8),
    ("exponential", "exponential:1e8", 1e8),
    ("binary", "constant:1e4", 1e4),
    ("discrete:1@0.5,2@0.5", "discrete:1e7@0.5,2e7@0.5", 1e7),
    ("scipy:weibull_min,1.5", "scipy:weibull_min,1.5,0,1e-6", 1e-6),
]
scaled = pytest.mark.parametrize(("law", "larger", "scale"), SCALED, ids=[larger for _, larger, _ in SCALED])


def both(law: str, larger: str, n: int = 2, m: int = 1, p: float = 0.1) -> list[theory.Problem]:
    """The same problem in two units."""
    return [theory.Problem(n=n, m=m, density=p, values=values) for values in (law, larger)]


@pytest.mark.parametrize(
    ("values", "size"),
    [("uniform", 1), ("uniform:0,2", 2), ("uniform:-3,1", np.sqrt(7)), ("binary", 1), ("constant:2", 2),
     ("exponential:2", 2 * np.sqrt(6)), ("signed:uniform:0,2", 2), (Affine(Affine(UNIFORM, 0.0, 3.0), 0.0, 0.5), 1.5)],
)  # fmt: skip
def test_a_law_is_its_unit_times_its_size(values: "str | ValueLaw", size: float) -> None:
    law = value_law(values)
    unit, found = unit_law(law)
    assert_allclose(found, size)
    q = np.linspace(0.01, 0.99, 7)
    assert_allclose(size * unit.quantile(q), law.quantile(q))
    assert unit_law(unit)[1] == pytest.approx(1)


def test_usual_laws_stay_as_they_are() -> None:
    for name in ("uniform", "binary", "exponential:2", "normal:1,1", "uniform:-1,1", "discrete:1@0.5,2@0.5"):
        law = value_law(name)
        assert natural_law(law) == (law, 1.0)
    assert natural_law(value_law("uniform:0,2")) == (UNIFORM, 2.0)
    assert natural_law(value_law("constant:2")) == (BINARY, 2.0)


@pytest.mark.parametrize("family", ["exponential:{}", "half-normal:{}", "normal:{},{}", "gamma:0.7,{}", "laplace:0,{}"])
def test_every_size_of_a_law_has_its_unit(family: str) -> None:
    for size in (10.0 ** np.arange(-9, 9.1, 0.1)).tolist():
        unit, found = natural_law(value_law(family.replace("{}", f"{size!r}")))
        assert natural_law(unit) == (unit, 1.0)
        assert_allclose(found**2 * unit.square, value_law(family.replace("{}", f"{size!r}")).square)


class Thresholded(Activation):
    """A ReLU that opens at 1/2."""

    left = 0.0
    kinks = (Kink(0.5, 1.0),)

    def value(self, z: np.ndarray) -> np.ndarray:
        """Give max(0, z - 1/2)."""
        return np.maximum(z - 0.5, 0)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """Give 1 above 1/2."""
        return (z > 0.5).astype(z.dtype)


def test_a_kink_elsewhere_has_a_unit_of_its_own() -> None:
    problem = theory.Problem(n=2, m=1, density=0.1, values="uniform:1e-8", activation=Thresholded())
    assert in_units(problem) == (problem, 1.0)


@scaled
@pytest.mark.parametrize("n", [2, 9])
def test_a_loss_its_gradient_and_their_errors(law: str, larger: str, scale: float, n: int) -> None:
    W, b = RNG.normal(size=(3, n)) / 2, RNG.normal(size=n) / 10
    one, other = both(law, larger, n, 3)
    found = theory.loss_estimate(W, scale * b, other)
    expected = theory.loss_estimate(W, b, one)
    assert_allclose(found.value, scale**2 * expected.value, rtol=3e-7)
    assert found.error <= 3e-7 * found.value
    assert_allclose(found.gradient["W"], scale**2 * expected.gradient["W"], rtol=1e-5, atol=1e-6 * scale**2)
    assert_allclose(found.gradient["b"], scale * expected.gradient["b"], rtol=1e-5, atol=1e-6 * scale)
    # one bound for all entries, those of W and those of b, whose units differ
    assert found.gradient_error <= 10 * expected.gradient_error * max(scale, scale**2)


@pytest.mark.parametrize(("law", "larger", "scale"), [case for case in SCALED if case[0] != "binary"])
def test_an_optimum_and_how_sure_it_is(law: str, larger: str, scale: float) -> None:
    found, expected = (theory.global_optimum(problem) for problem in reversed(both(law, larger)))
    assert_allclose(found.loss, scale**2 * expected.loss, rtol=1e-8)
    assert found.loss_error <= 1e-7 * found.loss
    assert (found.status, found.converged, found.geometry) == (expected.status, True, expected.geometry)
    assert_allclose(found.minima[0].loss, found.loss, rtol=1e-6)
    assert found.record is not None
    assert_allclose(min(found.record.best_by_kind.values()), found.loss, rtol=1e-6)
    assert theory.population_loss(found.W, found.b, found.problem) == pytest.approx(found.loss, rel=1e-7)
    assert found.stability == expected.stability
    digon, same = (theory.optimise(problem, "digon") for problem in (found.problem, expected.problem))
    assert digon.converged == same.converged
    assert_allclose(digon.loss, scale**2 * same.loss, rtol=1e-8)


@pytest.mark.parametrize(
    ("law", "larger", "scale"),
    [*SCALED, ("laplace:0,0.1", "laplace:0,20", 200.0), ("uniform:-1,1", "uniform:-1e6,1e6", 1e6)],
)
def test_hidden_sizes(law: str, larger: str, scale: float) -> None:
    """E |W . x| grows with the values themselves, not with their square."""
    W = RNG.normal(size=(3, 2, 4))
    one, other = (theory.Problem(n=4, m=2, density=0.3, values=values) for values in (law, larger))
    (value, error, slope, _), expected = hidden_l1(W, other), hidden_l1(W, one)
    assert (np.abs(value - scale * expected[0]) <= error + scale * expected[1]).all()
    assert (error <= 1e-5 * value).all()
    assert_allclose(slope, scale * expected[2], rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("terms", [Terms(), Terms(decay=0.1)], ids=["plain", "decay"])
@pytest.mark.parametrize("scale", [1e-5, 1e6])
def test_second_derivatives(scale: float, terms: Terms) -> None:
    one, other = both("exponential", f"exponential:{scale}", 3, 2)
    one, other = replace(one, terms=terms), replace(other, terms=replace(terms, decay=terms.decay * scale**2))
    W, b = RNG.normal(size=(2, 3)), RNG.normal(size=3) / 10
    factor = np.repeat([scale, 1.0], [6, 3])
    expected = theory.hessian(W, b, one)
    found = theory.hessian(W, scale * b, other) / np.outer(factor, factor)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_with_more_than_twelve_features() -> None:
    one, other = both("exponential", "exponential:1e-6", 14, 3)
    found, expected = theory.global_optimum(other), theory.global_optimum(one)
    assert_allclose(found.loss, 1e-12 * expected.loss, rtol=1e-5)
    assert found.converged == expected.converged


@pytest.mark.parametrize(
    "terms",
    [
        {"noise": 0.1},
        {"decay": 0.02},
        pytest.param({"l1": 0.02}, marks=pytest.mark.slow),
        {"bias": 0.05},
        {"decoder": "untied", "decay": 0.02},
    ],
    ids="+".join,
)
def test_terms_are_measured_in_the_same_unit(terms: dict[str, float | str]) -> None:
    scale = 1e-4
    power = {"noise": 1, "bias": 1, "decay": 2, "l1": 1}
    larger = {name: value if isinstance(value, str) else value * scale ** power[name] for name, value in terms.items()}
    one, other = both("uniform", "uniform:1e-4")
    expected = theory.global_optimum(replace(one, terms=Terms(**terms)))
    found = theory.global_optimum(replace(other, terms=Terms(**larger)))
    assert_allclose(found.loss, scale**2 * expected.loss, rtol=1e-7)
    assert found.converged == expected.converged


@scaled
def test_parts_of_a_loss(law: str, larger: str, scale: float) -> None:
    W, b = RNG.normal(size=(1, 3)), RNG.normal(size=3) / 10
    one, other = both(law, larger, 3)
    found, expected = theory.decompose(W, scale * b, other), theory.decompose(W, b, one)
    for part in ("loss", "own_error", "interference", "collective", "benefit", "by_active"):
        assert_allclose(getattr(found, part), scale**2 * getattr(expected, part), rtol=1e-6, atol=1e-7 * scale**2)
    assert_allclose(by_active_features(W, scale * b, other).sum(), found.loss, rtol=1e-6)
    losses = [theory.population_loss(W, theory.best_bias(W, problem), problem) for problem in (other, one)]
    assert_allclose(losses[0], scale**2 * losses[1], rtol=1e-7)


@pytest.mark.parametrize(
    ("law", "larger", "scale"), [("uniform", "uniform:1e-6", 1e-6), ("binary", "constant:100", 100.0)]
)
def test_a_phase_diagram(law: str, larger: str, scale: float) -> None:
    one, other = (theory.exact_phase_diagram(2, 1, 4, variant=Variant(values=value_law(v))) for v in (law, larger))
    assert (one["phase"] == other["phase"]).all()
    for name in ("loss", "ideal_loss", "ideal_loss_of_extra", "boundary_slope_jump"):
        assert_allclose(other[name], scale**2 * one[name], rtol=1e-6, atol=1e-12 * scale**2)
        assert other[name].attrs == one[name].attrs
    assert_allclose(other["b"], scale * one["b"], rtol=1e-6, atol=1e-9 * scale)
    assert_allclose(other["boundary_density"], one["boundary_density"])
    assert other.attrs["values"] == value_law(larger).name


def test_a_judged_model() -> None:
    one, other = both("uniform", "uniform:1e-6")
    W, b = np.array([[0.9, -0.9]]), np.array([0.05, 0.0])
    expected, found = numerics.judge(one, W, b), numerics.judge(other, W, 1e-6 * b)
    for gap in ("local_gap", "optimum_gap", "local_optimum_gap", "verdict"):
        assert_allclose(found[gap], expected[gap], atol=1e-6)


def test_a_predicted_frame() -> None:
    one, other = (even_frame(100, 10, 0.05, values=values) for values in ("exponential", "exponential:1e-7"))
    assert_allclose(other.loss, 1e-14 * one.loss, rtol=1e-6)
