"""The best tegum product: the dynamic programme against listing all products, and what it predicts."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import theory
from theory.geometry.polytopes import POLYTOPES
from theory.geometry.tegum import TegumProduct, tegum_products
from theory.optimum.one_sparse import UNREPRESENTED_LOSS, one_sparse_optimum
from theory.optimum.polytope import unrepresented_loss
from theory.packing.best_product import best_tegum_product, factor_losses
from theory.packing.knapsack import pack
from theory.packing.staircase import predicted_staircase

# A few factors of every number of dimensions: quick to optimise.
FEW = ["unrepresented", "dedicated", "digon", "triangle", "pentagon", "square antiprism"]


def few_losses(density: float) -> dict[str, float]:
    return {name: theory.optimise_polytope(name, density).loss for name in FEW}


def total(product: TegumProduct, losses: dict[str, float]) -> float:
    return sum(count * losses[name] for name, count in product.factors.items())


@st.composite
def random_losses(draw: st.DrawFn) -> dict[str, float]:
    """Losses between nothing and somewhat more than all features unrepresented, for the whole catalogue."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return {name: float(rng.uniform(0, 1.2) * (p.v if p.d else 1)) for name, p in POLYTOPES.items()}


@given(random_losses(), st.integers(1, 12), st.integers(1, 4))
def test_no_listed_product_has_a_smaller_sum_of_losses(losses: dict[str, float], n: int, m: int) -> None:
    chosen = pack(n, m, losses)
    assert chosen.n == n
    assert chosen.m <= m
    lowest = min(total(product, losses) for product in tegum_products(n, m))
    assert_allclose(total(chosen, losses), lowest, rtol=1e-8)


@given(random_losses(), st.integers(1, 30), st.integers(1, 8))
def test_another_feature_or_dimension_never_costs(losses: dict[str, float], n: int, m: int) -> None:
    own = total(pack(n, m, losses), losses)
    assert total(pack(n, m + 1, losses), losses) <= own + 1e-8
    assert total(pack(n + 1, m, losses), losses) <= own + losses["unrepresented"] + 1e-8


def test_features_that_all_fit_are_all_dedicated_and_cost_nothing() -> None:
    best = best_tegum_product(n=3, m=4, density=0.2)
    assert best.factors == {"dedicated": 3}
    assert best.loss == pytest.approx(0, abs=1e-14)
    assert_allclose(best.dimensionality, 1.0)


def test_one_sparse_features_up_to_twice_the_dimensions_form_digons() -> None:
    losses = {name: one_sparse_optimum(name).loss for name, p in POLYTOPES.items() if p.v <= 12}
    assert pack(8, 4, losses).factors == {"digon": 4}
    assert total(pack(8, 4, losses), losses) == pytest.approx(0, abs=1e-14)
    assert losses["unrepresented"] == pytest.approx(UNREPRESENTED_LOSS)


@pytest.mark.parametrize(("density", "name"), [(0.05, "pentagon"), (0.5, "2 digon + unrepresented")])
def test_five_features_in_two_dimensions_go_from_two_digons_to_a_pentagon(density: float, name: str) -> None:
    assert best_tegum_product(5, 2, density).product.name == name


@pytest.mark.parametrize(("n", "m", "density"), [(5, 2, 0.05), (7, 3, 0.3), (6, 4, 0.7)])
def test_the_loss_is_that_of_the_embedding_and_above_zero(n: int, m: int, density: float) -> None:
    best = best_tegum_product(n, m, density, few_losses(density))
    W, b = best.embedding()
    assert W.shape == (m, n)
    exact = theory.population_loss(W, b, theory.Problem(n=n, m=m, density=density))
    assert_allclose(best.loss, exact, rtol=2e-7)
    assert_allclose(best.dimensionality, theory.dimensionality(W), rtol=1e-9)
    assert_allclose(best.dimensions_per_feature, theory.dimensions_per_feature(W), rtol=1e-12)
    assert_allclose(best.features_per_dimension * best.dimensions_per_feature, 1.0)
    assert theory.recognise(W).name == best.product.name


def test_four_hundred_features_in_thirty_dimensions() -> None:
    best = best_tegum_product(n=400, m=30, density=0.1, losses=few_losses(0.1))
    assert best.factors == {"square antiprism": 10, "unrepresented": 320}
    assert best.dimensionality.shape == (400,)
    assert_allclose(best.loss, 10 * best.optima["square antiprism"].loss + 320 * unrepresented_loss(0.1))


@pytest.mark.timing
def test_a_thousand_features_in_a_hundred_dimensions_take_less_than_a_second() -> None:
    losses = few_losses(0.1)
    best_tegum_product(1000, 100, 0.1, losses)
    start = time.perf_counter()
    best = best_tegum_product(1000, 100, 0.1, losses)
    assert time.perf_counter() - start < 1
    assert best.product.n == 1000
    assert best.product.m == 100


def test_all_polytopes_that_fit_are_considered() -> None:
    losses = factor_losses(0.4, n=5, m=2)
    assert set(losses) == {"unrepresented", "dedicated", "digon", "triangle", "pentagon"}
    assert losses["unrepresented"] == unrepresented_loss(0.4)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.1, 0.9])
def test_the_full_catalogue_never_does_worse_than_a_part_of_it(density: float) -> None:
    whole = best_tegum_product(400, 30, density)
    part = best_tegum_product(400, 30, density, few_losses(density))
    assert whole.loss <= part.loss * (1 + 1e-9)
    assert whole.product.m == 30


def test_the_staircase_climbs_with_density() -> None:
    steps = predicted_staircase(6, 2, [0.01, 0.1, 0.5, 1.0])
    assert (np.diff(steps["dimensions_per_feature"]) > 0).all()
    assert steps["product"].values[0] == "hexagon"
    features = [POLYTOPES[str(name)].v for name in steps["factor"].values]
    assert (steps["multiplicity"].values @ features == 6).all()
    D = steps["dimensionality"].sel(factor="hexagon")
    assert_allclose(D.values[0], 1 / 3)
    assert np.isnan(D.values[2])
    assert_allclose(steps["inverse_density"], [100, 10, 2, 1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 2, 0.1), ValueError, "n must be at least 1, got 0"),
        ((5, True, 0.1), TypeError, "m must be a whole number, got True"),
        ((5, 2, 1.1), ValueError, r"density must lie in \(0, 1\]"),
        ((5, 2, 0.1, {"digon": 0.1}), ValueError, "losses must tell that of 'unrepresented'"),
        ((5, 2, 0.1, {"unrepresented": 0.1, "square": 0.1}), ValueError, "catalogue polytopes, got 'square'"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        best_tegum_product(*arguments)


@pytest.mark.usefixtures("without_type_checks")
def test_several_densities_are_refused_in_one_sentence() -> None:
    for function in (theory.best_tegum_product, theory.predict_even_frame):
        with pytest.raises(TypeError, match="density must be one number, that of every feature, got"):
            function(400, 30, [0.1, 0.2])


def test_a_packing_is_printed_in_one_line() -> None:
    best = theory.best_tegum_product(8, 3, 0.05)
    assert best.name == "square antiprism"
    assert "\n" not in repr(best)
