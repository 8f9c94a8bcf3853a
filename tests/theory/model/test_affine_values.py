"""Laws shifted and scaled."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy import ndarray
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike
from scipy import stats

import theory
from tests.records import Exponential
from theory.frames.prediction import even_frame
from theory.model.affine_values import Affine
from theory.model.numerical_values import Numerical
from theory.model.value_protocol import ValueLaw
from theory.model.values import UNIFORM, value_law

RNG = np.random.default_rng(0)
COUPLINGS, BIASES = RNG.normal(size=60), RNG.normal(size=60)
LAWS = [
    Affine(UNIFORM, 0.0, 2.0),
    Affine(UNIFORM, -0.5, 1.7),
    Affine(value_law("exponential"), 0.0, 0.3),
    Affine(value_law("exponential"), 0.4, 2.0),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("member", ["interference", "own_error"])
def test_one_active_feature_is_what_the_partial_moments_say(law: ValueLaw, member: str) -> None:
    own: tuple[ndarray, ...] = getattr(law, member)(COUPLINGS, BIASES)
    for found, expected in zip(own, getattr(ValueLaw, member)(law, COUPLINGS, BIASES), strict=True):
        assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_values_of_zero_to_two_are_those_of_zero_to_one() -> None:
    """Against the panels of SciPy's density, which know nothing of the relation."""
    W, b = RNG.normal(size=(3, 8)), RNG.normal(size=8)
    twice, panels, once = (
        theory.Problem(n=8, m=3, density=0.2, values=values)
        for values in ("uniform:0,2", Numerical("uniform", (0.0, 2.0)), "uniform")
    )
    expected = 4 * theory.population_loss(W, b / 2, once)
    assert_allclose(theory.population_loss(W, b, twice), expected, rtol=1e-6)
    assert_allclose(theory.population_loss(W, b, panels), expected, rtol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.125])
def test_predictions_scale_with_the_values(noise: float) -> None:
    one = even_frame(24, 6, 0.05, noise=noise)
    two = even_frame(24, 6, 0.05, values="uniform:0,2", noise=2 * noise)  # twice a number is no rounding
    assert_allclose([two.loss, two.bias, two.norm], [4 * one.loss, 2 * one.bias, one.norm], rtol=1e-12)
    assert_allclose(two.left_out_loss, 4 * one.left_out_loss)


def test_groups_scale_with_the_values() -> None:
    from theory.frames.unequal import predict_uneven_frame

    p = [0.4, 0.3, 0.2, 0.1]
    one, two = (
        predict_uneven_frame(theory.Problem(n=4, m=2, density=p, values=v), groups=1)
        for v in ("uniform", "uniform:0,2")
    )
    assert_allclose([two.loss, *two.bias], [4 * one.loss, *(2 * one.bias)], rtol=1e-12)


@pytest.mark.parametrize(
    ("frozen", "name"),
    [(stats.uniform(0, 2), "uniform:0,2"), (stats.uniform(), "uniform"), (stats.expon(scale=2), "exponential:2"),
     (stats.norm(1, 2), "normal:1,2"), (stats.gamma(2, scale=3), "gamma:2,3"), (stats.laplace(), "laplace:0,1")],
)  # fmt: skip
@pytest.mark.usefixtures("without_type_checks")
def test_scipys_distributions_with_closed_forms_are_these(frozen: object, name: str) -> None:
    assert value_law(frozen) == value_law(name)
    with pytest.raises(ValueError, match="refuses the parameters"):
        value_law(stats.expon(scale=-1))


@pytest.mark.usefixtures("without_type_checks")
def test_a_location_shifts_the_closed_form() -> None:
    law, frozen = value_law(stats.expon(0.5, 2)), stats.expon(0.5, 2)
    assert_allclose([law.mean, law.square], [frozen.mean(), frozen.moment(2)])
    assert_allclose(law.quantile(np.array([0.1, 0.9])), frozen.ppf([0.1, 0.9]))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 2.0), (1.0, 2.0), (-0.5, 0.3)])
@pytest.mark.usefixtures("without_type_checks")
def test_a_heavy_law_shifted_and_scaled_is_that_of_scipy(shift: float, scale: float) -> None:
    """Against panels of their own, fitted to SciPy's shifted and scaled density."""
    ours, theirs = Affine(value_law(stats.lomax(5)), shift, scale), value_law(stats.lomax(5, shift, scale))
    assert ours.heavy
    assert theirs.heavy
    a = np.array([1e-30, 1e-9, 1e-3, 0.4, 7.0, -0.4])
    for found, expected in zip(ours.losses(a), theirs.losses(a), strict=True):
        assert_allclose(found, expected, rtol=1e-9)
    assert_allclose([ours.moment(k) for k in range(5)], [theirs.moment(k) for k in range(5)], rtol=1e-9)
    W, b = np.array([[1.1, -0.7, 0.4]]), np.array([-0.1, 0.05, -0.2])
    one, two = (theory.loss_estimate(W, b, theory.Problem(n=3, m=1, density=0.3, values=law)) for law in (ours, theirs))
    assert abs(one.value - two.value) <= one.error + two.error
    assert one.error < 1e-6 * one.value


@pytest.mark.parametrize("frozen", [stats.pareto(2.5), stats.t(3), stats.burr12(2, 1.3)])
@pytest.mark.usefixtures("without_type_checks")
def test_moments_that_do_not_exist_are_infinite(frozen: object) -> None:
    """SciPy says that E u^3 is -5 for a Pareto law of index 2.5, whose values exceed 1."""
    law = value_law(frozen)
    for one in (law, Affine(law, 0.0, 2.0)):
        assert [one.moment(k) for k in (3, 4)] == [np.inf, np.inf]


@dataclass(frozen=True)
class Bare(Exponential):
    """A law of values without bound that says nothing of exponential moments."""

    strip = 0.0  # type: ignore[assignment]

    def log_mgf(self, s: ArrayLike) -> ndarray:
        return ValueLaw.log_mgf(self, s)


@pytest.mark.parametrize("n", [2, 8, 80])
def test_an_unbounded_law_without_exponential_moments_is_refused_in_one_sentence(n: int) -> None:
    task = theory.Problem(n=n, m=1, density=0.1, values=Bare())
    with pytest.raises(ValueError, match=r"bare values have no bound: .* must give strip and log_mgf, or heavy and"):
        theory.population_loss(np.ones((1, n)), np.full(n, -0.1), task)
