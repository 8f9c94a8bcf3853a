"""The global optimum: what four seeds agree on, what relabelling leaves, and how sure the search is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics import train
from theory import Problem, global_optimum, loss_estimate, optimise, population_loss
from theory.geometry.tegum import tegum_products
from theory.optimum.named_geometry import certified
from theory.packing.best_product import best_tegum_product
from theory.search.record import SearchRecord, certainty
from theory.search.starts import typical_density

# Sizes, density, ratio of importances, and a loss that is known to be reached.
DECAYING = [
    (6, 2, 0.0039032215558839132, 0.8, 6.37945345e-4),
    (6, 2, 0.027906862304391548, 0.627611445334043, 2.53453191e-3),
    (6, 2, 0.0378596, 0.9038159, 0.01214001),
    (7, 2, 0.0278112467, 0.6166658, 2.89568350e-3),
]


def decaying(n: int, m: int, p: float, r: float) -> Problem:
    return Problem(n=n, m=m, density=p, importance=r ** np.arange(n))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "p", "r", "loss"), DECAYING)
def test_four_seeds_reach_the_optimum_of_decaying_importances(n: int, m: int, p: float, r: float, loss: float) -> None:
    found = [global_optimum(decaying(n, m, p, r), seed) for seed in range(4)]
    losses = np.array([one.loss for one in found])
    assert losses.max() <= loss * (1 + 1e-8)  # the losses above are rounded to nine digits
    assert np.ptp(losses) <= 1e-9 * losses.min()
    assert all(one.certain for one in found)
    assert all(found[0].tied(one) for one in found if one.problem.n <= 6)


@settings(max_examples=3, deadline=None)
@given(st.permutations(range(4)), st.floats(0.01, 0.4), st.floats(0.5, 0.95))
def test_relabelling_features_changes_nothing(order: list[int], p: float, r: float) -> None:
    importance, density = r ** np.arange(4), p * 0.8 ** np.arange(4)
    straight = global_optimum(Problem(m=2, density=density, importance=importance))
    shuffled = global_optimum(Problem(m=2, density=density[order], importance=importance[order]))
    assert shuffled.loss == pytest.approx(straight.loss, rel=1e-9)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000), st.floats(0.02, 0.5))
def test_rotating_the_optimum_changes_nothing(seed: int, p: float) -> None:
    best = global_optimum(Problem(n=3, m=2, density=p, importance=[1.0, 0.7, 0.4]), seed=seed % 4)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((2, 2)))[0]
    assert population_loss(turn @ best.W, best.b, best.problem) == pytest.approx(best.loss, rel=1e-12)


def test_features_of_no_importance_cost_nothing() -> None:
    best = global_optimum(Problem(n=4, m=2, density=0.1, importance=0.0))
    assert best.loss == 0.0
    assert best.status == "proved"
    assert best.certain


def test_one_feature_of_no_importance_is_left_out() -> None:
    best = global_optimum(Problem(n=3, m=2, density=0.1, importance=[1.0, 0.0, 1.0]))
    assert best.status == "proved"
    assert best.loss == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("n", range(2, 41))
def test_the_typical_density_is_between_the_lowest_and_the_highest(n: int) -> None:
    """Whatever the rounding: features that are always active had 1.0000000000000002."""
    assert typical_density(decaying(n, 1, 1.0, 0.7)) == 1.0
    mixed = Problem(m=1, density=np.linspace(0.1, 0.9, n), importance=0.7 ** np.arange(n))
    assert typical_density(mixed) == pytest.approx(np.average(mixed.density, weights=mixed.importance * mixed.density))


def test_the_record_counts_every_start() -> None:
    best = global_optimum(decaying(4, 2, 0.05, 0.7))
    record = best.record
    assert record is not None
    assert set(record.starts_by_kind) == {"product", "random", "subset"}
    assert sum(record.hits.values()) >= 5
    assert record.repeated
    assert best.status == "repeated"
    assert min(record.best_by_kind.values()) == pytest.approx(best.loss, rel=1e-8)
    assert record.reference_gap >= -1e-9


@pytest.mark.parametrize(
    ("hits", "seen_once", "tried", "repeated"),
    [
        ({"product": 2, "random": 4}, 1, True, True),
        ({"product": 0, "random": 6}, 1, True, False),  # one kind of starts is no evidence
        ({"product": 1, "random": 3}, 1, True, False),
        ({"product": 2, "random": 4}, 2, True, False),
        ({"product": 2, "random": 4}, 1, False, False),
    ],
)
def test_a_solution_is_repeated_only_if_all_conditions_hold(
    hits: dict[str, int], seen_once: int, tried: bool, repeated: bool
) -> None:
    record = SearchRecord({"product": 10, "random": 20}, hits, 5, seen_once, {}, 0.0, tried)
    assert record.repeated is repeated
    unsure = "repeated" if repeated else "best known"
    assert certainty(record, 1.0, 1e-10, 1.0) == unsure
    assert certainty(record, 1e-11, 1e-10, 1.0) == "proved"
    assert certainty(record, 1e-11, 1e-10, 1e-3) == unsure  # an error that is not small proves nothing


def test_a_given_start_is_never_lost() -> None:
    problem = decaying(4, 2, 0.05, 0.7)
    best = global_optimum(problem)
    again = global_optimum(problem, starts=0, given=[(best.W, best.b)])
    assert again.record is not None
    assert again.record.hits["given"] == 1
    assert again.loss <= best.loss * (1 + 1e-9)


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(st.integers(4, 5), st.floats(0.005, 0.5), st.floats(0.5, 1.0))
def test_the_optimum_is_never_above_a_product_or_a_learned_model(n: int, p: float, r: float) -> None:
    problem = decaying(n, 2, p, r)
    best = global_optimum(problem)
    for product in tegum_products(n, 2):
        assert best.loss <= optimise(problem, product.name).loss * (1 + 1e-9)
    learned = train(problem, instances=16, steps=300, batch=256, seed=1, progress=False)
    losses = population_loss(learned["W"].values, learned["b"].values, problem)
    assert best.loss <= np.min(losses) * (1 + 1e-9)


@pytest.mark.slow
def test_a_start_that_is_rotated_and_relabelled_ends_at_the_same_loss() -> None:
    problem = decaying(5, 2, 0.05, 0.7)
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((2, 5)), rng.standard_normal(5) / 10
    straight = global_optimum(problem, starts=0, given=[(W, b)])
    turn, order = np.linalg.qr(rng.standard_normal((2, 2)))[0], rng.permutation(5)
    turned = Problem(m=2, density=problem.density[order], importance=problem.importance[order])
    shuffled = global_optimum(turned, starts=0, given=[(turn @ W[:, order], b[order])])
    assert shuffled.loss == pytest.approx(straight.loss, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "p"), [(9, 3, 0.03), (10, 5, 0.01), (12, 3, 0.002)])
def test_nine_to_twelve_features_are_stored_at_least_as_well_as_by_products(n: int, m: int, p: float) -> None:
    """Among them an optimum without a name, digons, and the icosahedron."""
    problem = Problem(n=n, m=m, density=p)
    best = global_optimum(problem, starts=2)
    assert best.loss <= best_tegum_product(n, m, p).loss * (1 + 1e-9)
    assert best.loss == pytest.approx(population_loss(best.W, best.b, problem), rel=1e-7)
    assert best.converged


@pytest.mark.full
def test_of_four_seeds_none_that_is_certain_misses_the_optimum_of_nine_features() -> None:
    found = [global_optimum(decaying(9, 3, 0.05, 0.8), seed) for seed in range(4)]
    losses, certain = np.array([one.loss for one in found]), [one.certain for one in found]
    assert any(certain)
    assert losses[certain].max() <= losses.min() * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("density", "loss"), [(0.01, 3.1320995e-4), (0.001, 2.27066e-5)])
def test_twenty_decaying_features_are_stored_at_least_as_well_as_known(density: float, loss: float) -> None:
    best = global_optimum(decaying(20, 5, density, 0.7))
    assert best.loss <= loss
    assert best.loss == pytest.approx(population_loss(best.W, best.b, best.problem), rel=1e-5)


@pytest.mark.timing
def test_eight_features_take_under_five_seconds() -> None:
    import time

    problem = decaying(8, 3, 0.05, 0.8)
    start = time.perf_counter()
    global_optimum(problem)
    assert time.perf_counter() - start <= 5


def test_solutions_and_estimates_are_printed_in_a_line() -> None:
    problem = Problem(n=3, m=2, density=0.1)
    best = global_optimum(problem)
    shown = str(best)
    for part in (best.geometry, f"{best.loss:.10g} +- ", "converged yes", best.status, "next best triangle"):
        assert part in shown
    assert "\n" not in shown
    assert len(shown) < 200
    estimate = loss_estimate(best.W, best.b, problem)
    assert str(estimate) == f"{estimate.value:.12g} +- {estimate.error:.1g}"


def test_a_message_names_the_limit_that_decides_whether_a_search_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optima of one geometry are held to 1e-7, searches to 1e-6: message and verdict spoke of different ones."""
    problem = Problem(n=3, m=2, density=0.1)
    found = global_optimum(problem)
    near = certified(found.W * (1 + 3e-7), found.b, problem, found.geometry, limit=1e-6)
    assert 1e-7 < near.gradient_norm < 1e-6
    assert (near.converged, near.message) == (True, f"The gradient vanishes to {near.gradient_norm:.1e}.")
    for limit in (1e-6, 0.0):
        monkeypatch.setattr("theory.search.global_search._FLAT", limit)
        again = global_optimum(problem)
        assert again.converged == (again.gradient_norm <= limit) == again.message.startswith("The gradient vanishes")
        assert again.converged or again.message.endswith("of the zero model's loss, above 0.")
