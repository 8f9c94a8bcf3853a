"""Distributions of scipy.stats as laws: continuous, discrete, histograms and tables, frozen or by name."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from theory.model.histogram_values import Histogram
from theory.model.numerical_values import Numerical
from theory.model.values import value_law

# Of transforms.
ARGUMENTS = np.array([-7.3, -0.9, -1e-3, 0.0, 1e-9, 0.04, 0.2, 0.99, 1.01, 3.0, 40.0])


@pytest.mark.usefixtures("without_type_checks")
def test_arrays_of_distributions_are_no_law() -> None:
    with pytest.raises(ValueError, match=r"all features have one law, but .* has arrays"):
        value_law(stats.gamma(np.array([1.0, 2.0])))


def test_frozen_distributions_of_scipy_are_laws() -> None:
    assert value_law(stats.weibull_min(1.5, scale=2)).mean == pytest.approx(stats.weibull_min(1.5, scale=2).mean())
    assert_allclose(value_law(stats.binom(3, 0.5)).atoms, [(0, 1 / 8), (1, 3 / 8), (2, 3 / 8), (3, 1 / 8)])
    with pytest.raises(ValueError, match="must have a finite second moment"):
        value_law(stats.t(1.5))
    assert value_law("scipy:poisson,2") == value_law(stats.poisson(2))
    table = stats.rv_discrete(values=([1, 3], [0.25, 0.75]))
    assert value_law(table(loc=1)) == value_law("discrete:2@0.25,4@0.75")
    with pytest.raises(TypeError, match="frozen distribution of scipy"):
        value_law(stats.norm)


def test_a_histogram_of_scipy_is_its_bins() -> None:
    frozen = stats.rv_histogram((np.array([0.0, 1, 2, 0, 3, 0]), np.array([0.0, 1, 2, 3, 5, 6, 9])), density=False)
    frozen = frozen(loc=1, scale=2)
    law = Histogram.of(frozen)
    assert value_law(frozen) == law
    assert law.support == (3.0, 13.0)
    assert_allclose(law.probabilities, (1 / 6, 1 / 3, 0.0, 0.5), atol=1e-15)
    q = np.linspace(0.01, 0.99, 40)
    assert_allclose(law.quantile(q), frozen.ppf(q))
    assert_allclose([law.moment(k) for k in range(5)], [1, *(frozen.moment(k) for k in range(1, 5))])


@pytest.mark.parametrize(
    ("edges", "probabilities", "complaint"),
    [
        ((0.0, 1.0), (0.5, 0.5), "a probability for each bin"),
        ((0.0, 1.0, 1.0), (0.5, 0.5), "rising ends"),
        ((0.0, 1.0, np.inf), (0.5, 0.5), "finite"),
        ((0.0, 1.0, 2.0), (0.5, 0.6), "sum to 1"),
        ((0.0, 1.0, 2.0), (0.0, 1.0), "first and the last bin > 0"),
    ],
)
def test_what_is_no_histogram_is_refused(
    edges: tuple[float, ...], probabilities: tuple[float, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Histogram(edges, probabilities)


@pytest.mark.parametrize("family", ["expon", "halfnorm", "gamma,0.5", "gamma,2.5,0,0.3", "laplace", "norm,1,2"])
def test_scipys_distributions_are_the_closed_forms(family: str) -> None:
    closed = {"expon": "exponential", "halfnorm": "half-normal", "gamma,0.5": "gamma:0.5", "laplace": "laplace",
              "gamma,2.5,0,0.3": "gamma:2.5,0.3", "norm,1,2": "normal:1,2"}  # fmt: skip
    name, *parameters = family.split(",")
    found, law = Numerical(name, tuple(map(float, parameters))), value_law(closed[family])
    assert value_law(f"scipy:{family}") == law  # by name, too, the closed forms are taken
    a = np.concatenate([ARGUMENTS, [300.0, -2000.0, 3e4]])
    for k, (one, two) in enumerate(zip(found.transforms(a, 3), law.transforms(a, 3), strict=True)):
        assert_allclose(one, two, atol=1e-10 * (1 + law.moment(4)), err_msg=f"order {k}")


@pytest.mark.parametrize("law", [stats.randint(0, 2**40), stats.zipf(2.5), stats.zipf(1.5), stats.poisson(1e4)])
def test_discrete_distributions_of_many_values_are_refused_at_once(law: object) -> None:
    with pytest.raises(ValueError, match=r"variance is inf|more than the 256 values"):
        value_law(law)


def test_a_law_on_the_circle_is_refused_at_once() -> None:
    """Its density is periodic on the whole line in SciPy, where its moments take seconds."""
    with pytest.raises(ValueError, match="vonmises_line is one on the line"):
        value_law(stats.vonmises(2))


def test_a_density_that_ends_within_its_support_is_seen_to_its_end() -> None:
    """All nodes of a panel lay beyond the end, whose last thousandth of probability was lost."""
    law, mirrored = value_law(stats.pearson3(-2)), value_law(stats.pearson3(2))
    for k in range(3):
        assert_allclose(law.moment(k), (-1) ** k * mirrored.moment(k), atol=1e-12)
    assert_allclose(law.transform(np.array([0.3, 2.0])), mirrored.transform(-np.array([0.3, 2.0])), atol=1e-12)


@pytest.mark.parametrize("law", [stats.exponnorm(1.5), stats.norminvgauss(1, 0.5), stats.foldnorm(1)])
def test_quantiles_that_scipy_looks_for_one_by_one_are_found_together(law: object) -> None:
    """A hundred thousand of them took SciPy minutes, which no training waits for."""
    record = value_law(law)
    q = np.random.default_rng(0).random(100_000)
    u = record.quantile(q)
    assert_allclose(law.cdf(u[:50]), q[:50], atol=1e-9)  # type: ignore[attr-defined]
    assert (np.diff(record.quantile(np.sort(q))) >= 0).all()
    error = np.sqrt((record.moment(4) - record.square**2) / len(q))
    assert abs((u**2).mean() - record.square) < 4.5 * error
    assert record.quantile(q.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("law", [stats.nbinom(1, 0.9), stats.geom(0.3), stats.poisson(1), stats.poisson(1e-7)])
def test_discrete_distributions_keep_the_values_that_count_in_the_second_moment(law: object) -> None:
    """Values are left out by what they have of E u^2, too: of Poisson values of mean 1e-7 the second was missing."""
    exact = law.var() + law.mean() ** 2  # type: ignore[attr-defined]
    assert_allclose(value_law(law).moment(2), exact, rtol=1e-14)


def test_a_sample_is_a_law_without_being_frozen() -> None:
    sample = np.random.default_rng(0).gamma(2, size=500)
    histogram = stats.rv_histogram(np.histogram(sample, 12))
    assert value_law(histogram) == value_law(histogram())
    table = stats.rv_discrete(values=([1, 3], [0.25, 0.75]))
    assert value_law(table) == value_law("discrete:1@0.25,3@0.75")


def test_discrete_distributions_are_called_what_they_were_called() -> None:
    law = value_law("scipy:poisson,2")
    assert law.name == "scipy:poisson,2"
    assert value_law(law.name) == law
