"""The phase diagram: phases, and boundaries with their order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import theory
from theory.geometry.phases import PHASES, phase_of
from theory.model.extra_feature import extra_feature_problem
from theory.model.terms import Terms
from theory.model.value_families import HalfNormal
from theory.model.value_names import value_law_of_name as value_law
from theory.model.values import BINARY, UNIFORM, ValueLaw
from theory.model.variant import Variant
from theory.optimum.local_minima import LocalMinima, random_starts, refine, revive
from theory.phase_diagram import boundaries, cells
from theory.phase_diagram.boundaries import find_boundaries
from theory.phase_diagram.cells import search_cells
from theory.phase_diagram.diagram import default_resolution, exact_phase_diagram
from theory.phase_diagram.grid import Grid, search_grid
from theory.phase_diagram.picture import draw_phase_diagram
from theory.phase_diagram.text import summary
from theory.tools.parallel import Pool, open_pool

# Two searches that end in the same minimum differ by what a gradient of 1e-8 leaves.
SAME_MINIMUM = 1e-7


# The search's pieces are type-checked where they are tested one by one.
pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def pair(at_full_speed: None) -> xr.Dataset:
    return exact_phase_diagram(2, 1, resolution=14)


@pytest.fixture(scope="module")
def triple(at_full_speed: None) -> xr.Dataset:
    return exact_phase_diagram(3, 2, resolution=12)


def cell(data: xr.Dataset, density: float, importance: float) -> xr.Dataset:
    return data.sel(density=density, importance=importance, method="nearest")


def test_corners_of_the_diagram_are_the_known_phases(pair: xr.Dataset, triple: xr.Dataset) -> None:
    for data in (pair, triple):
        assert PHASES[int(cell(data, 0.9, 0.1)["phase"])] == "not represented"
        assert PHASES[int(cell(data, 0.9, 10.0)["phase"])] == "dedicated"
        assert PHASES[int(cell(data, 0.01, 0.3)["phase"])] == "superposition"
    assert PHASES[int(cell(pair, 0.01, 10.0)["phase"])] == "superposition"
    assert PHASES[int(cell(triple, 0.01, 10.0)["phase"])] == "dedicated"


def test_exact_optimum_is_never_above_an_idealised_candidate(pair: xr.Dataset, triple: xr.Dataset) -> None:
    for data in (pair, triple):
        assert (data["loss"] <= data["ideal_loss"].min("candidate") * (1 + 1e-9)).all()


def test_idealised_losses_are_the_closed_forms(pair: xr.Dataset) -> None:
    p, r = pair["density"], pair["importance"]
    variance = p / 3 - p**2 / 4
    losses = pair["ideal_loss"].transpose("candidate", "density", "importance")
    assert_allclose(losses.sel(candidate="not represented").values, (variance * r).values, rtol=1e-12)
    assert_allclose(losses.sel(candidate="dedicated").values, (variance * (r * 0 + 1)).values, rtol=1e-12)
    assert_allclose(losses.sel(candidate="antipodal").values, (p**2 * (1 + r) / 6).values, rtol=1e-12)


def test_saved_losses_are_those_of_the_saved_solutions(triple: xr.Dataset) -> None:
    p, r = np.meshgrid(triple["density"], triple["importance"], indexing="ij")
    problem = extra_feature_problem(3, 2, p.ravel(), r.ravel())
    loss = theory.population_loss(triple["W"].values.reshape(-1, 2, 3), triple["b"].values.reshape(-1, 3), problem)
    assert_allclose(loss, triple["loss"].values.ravel(), rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "resolution"), [(2, 1, 20), (3, 2, 20), (4, 2, 8)])
def test_a_much_longer_search_finds_nothing_better(n: int, m: int, resolution: int) -> None:
    data = exact_phase_diagram(n, m, resolution=resolution, workers=2)
    rng = np.random.default_rng(11)
    starts = 100
    cells = rng.choice(resolution**2, size=60, replace=False)
    i, j = np.divmod(cells, resolution)
    p, r = (np.repeat(data[name].values[k], starts) for name, k in (("density", i), ("importance", j)))
    problem = extra_feature_problem(n, m, p, r)
    W, b = random_starts(problem, len(p), rng)
    found = revive(problem, refine(problem, W, b, tolerance=1e-7), rng)
    best = found.loss.reshape(len(cells), starts).min(1)
    claimed = data["loss"].values[i, j]
    assert (best >= claimed * (1 - SAME_MINIMUM)).all()
    assert (best <= claimed * (1 + 1e-3)).mean() > 0.9, "a search that seldom finds the optimum proves little"


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_no_minimum_is_missed_where_branches_crowd(n: int, m: int) -> None:
    """Dense features of nearly equal importance: every cell searched afresh, from other starts."""
    data = exact_phase_diagram(n, m, resolution=30, workers=2)
    crowded = (data["density"].values[:, None] > 0.3) & (np.abs(np.log(data["importance"].values)) < np.log(2.5))
    i, j = np.nonzero(crowded)
    rng, starts = np.random.default_rng(5), 40
    p, r = (np.repeat(data[name].values[k], starts) for name, k in (("density", i), ("importance", j)))
    problem = extra_feature_problem(n, m, p, r)
    W, b = random_starts(problem, len(p), rng)
    found = revive(problem, refine(problem, W, b, tolerance=1e-7), rng)
    best = found.loss.reshape(len(i), starts).min(1)
    assert (best >= data["loss"].values[i, j] * (1 - SAME_MINIMUM)).all()


@pytest.mark.slow
def test_of_many_starts_few_need_to_be_followed_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven features: the best of the starts that still differ halfway is as good as the best of all."""
    density, importance = np.array([0.03, 0.1, 0.4]), np.array([0.4, 1.0, 3.0])
    problem = extra_feature_problem(7, 2, density, importance)
    best = []
    for followed in (cells._FOLLOWED, 22):
        monkeypatch.setattr(cells, "_FOLLOWED", followed)
        with open_pool(1) as pool:
            found, starts = cells.many_starts(problem, np.arange(3), 12, 0, pool)
        assert starts == followed
        lowest = found.at(found.loss.reshape(3, starts).argmin(1) + starts * np.arange(3))
        best.append(refine(problem, lowest.W, lowest.b, inverse=lowest.inverse).loss)
    assert (best[0] <= best[1] * (1 + 1e-9)).all()


def test_crossings_are_where_two_optimised_branches_are_equal(pair: xr.Dataset) -> None:
    """At r = 0.1 the unrepresented branch is r (p/3 - p^2/4) exactly; the antipodal one is minimised afresh."""
    edge = exact_phase_diagram(2, 1, resolution=6, density=(0.1, 0.3), importance=(0.1, 0.2))
    at_lowest = (np.abs(edge["boundary_importance"] - 0.1) < 1e-12) & (edge["boundary_along"] == "density")
    p = edge["boundary_density"].values[at_lowest.values]
    assert len(p) == 1
    problem = extra_feature_problem(2, 1, p, np.array([0.1]))
    antipodal = refine(problem, np.array([[[1.0, -0.7]]]), np.zeros((1, 2)), tolerance=1e-11)
    assert phase_of(antipodal.W)[0] == 2
    assert_allclose(antipodal.loss, 0.1 * (p / 3 - p**2 / 4), rtol=1e-8)
    assert_allclose(p, 0.181247, atol=1e-6)


def test_the_transition_is_of_first_order_when_sparse_and_continuous_when_denser() -> None:
    """The idealised candidates always cross; the exact optimum has a tricritical point in between."""
    orders = {}
    for density in (0.3, 0.7):
        data = exact_phase_diagram(
            2,
            1,
            resolution=6,
            density=(density, density * 1.02),
            importance=(density / 2, min(1.6 * density, 0.95)),
        )
        along = data["boundary_along"] == "importance"
        orders[density] = set(data["boundary_order"].values[along.values].tolist())
        jumps = np.abs(data["boundary_slope_jump"].values[along.values])
        assert (jumps > 1e-3).all() if density == 0.3 else (jumps == 0).all()
    assert orders == {0.3: {1}, 0.7: {2}}


def test_a_continuous_boundary_is_where_the_unrepresented_feature_loses_stability() -> None:
    """Second-order expansion about W = (1, 0), b = (0, p/2) towards an antipodal overlap: see docs/derivations."""
    p = 0.7
    variance = p / 3 - p**2 / 4
    beta = np.linspace(0, p / 2, 200_001)
    cost = p * (variance + (p / 2 - beta) ** 2 / 4) + (1 - p) ** 2 * beta**2 + (1 - p) * p * beta**3 / 3
    threshold = cost.min() / variance
    data = exact_phase_diagram(2, 1, resolution=8, density=(p, p * 1.001), importance=(0.7, 0.85))
    along = (data["boundary_along"] == "importance") & (data["boundary_density"] == p)
    found = data["boundary_importance"].values[along.values]
    assert len(found) == 1
    # The feature counts as represented from norm 0.01 on, and its norm grows in proportion to the excess.
    assert_allclose(found, threshold, atol=2e-3)


def test_swapping_the_features_mirrors_the_diagram(pair: xr.Dataset) -> None:
    """n = 2: importance r of the extra feature is importance 1/r of the other; losses differ by the factor r."""
    mirrored = pair["loss"].values[:, ::-1] * pair["importance"].values
    assert_allclose(pair["loss"].values, mirrored, rtol=1e-7)


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    one, two = (exact_phase_diagram(3, 2, resolution=3, workers=workers) for workers in (1, 2))
    xr.testing.assert_identical(one, two)


@pytest.mark.parametrize("change", [("_PARTS", 3), ("_SETTLED", -1.0)])
def test_transitions_do_not_depend_on_how_edges_are_shared_out_nor_on_steps_that_move_nothing(
    change: tuple[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = search_grid(3, 2, np.geomspace(0.1, 0.95, 5), np.geomspace(0.3, 3, 4))
    usual = find_boundaries(grid, phase_of(grid.W))
    monkeypatch.setattr(boundaries, *change)
    other = find_boundaries(grid, phase_of(grid.W))
    assert len(usual.cell) > 5
    assert set(usual.order.tolist()) == {1, 2}
    for name in ("cell", "neighbour", "before", "after", "order"):
        assert getattr(usual, name).tolist() == getattr(other, name).tolist()
    # Crossings are found to rounding, where optima merge to the last bisection.
    crossing = usual.order == 1
    assert_allclose(other.density[crossing], usual.density[crossing], rtol=1e-9)
    assert_allclose(other.importance[crossing], usual.importance[crossing], rtol=1e-9)


@pytest.mark.parametrize("values", [UNIFORM, HalfNormal()])
def test_errors_that_cells_of_one_density_share_give_each_its_own_loss(values: ValueLaw) -> None:
    density, importance = np.repeat([0.1, 0.4, 0.9], 3), np.tile([0.2, 1.0, 5.0], 3)
    problem = extra_feature_problem(3, 2, density, importance, Variant(values=values))
    W, b = random_starts(problem, 2, np.random.default_rng(0))
    cell, source = np.repeat(np.arange(9), 2), np.tile([0, 1], 9)
    alike = cell // 3 * 2 + source
    found = cells.rough_losses(problem, cell, W[source], b[source], alike)
    # Both are as accurate as rankings need.
    assert_allclose(found, theory.population_loss(W[source], b[source], problem.take(cell)), rtol=1e-3)
    assert len(np.unique(found)) == len(found)


def test_searches_come_back_in_the_order_of_their_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = extra_feature_problem(2, 1, np.geomspace(0.05, 0.9, 23), 1.0)
    W, b = random_starts(problem, 23, np.random.default_rng(0))
    alone = refine(problem, W, b, 1e-6)
    monkeypatch.setattr("theory.phase_diagram.cells._CHUNK_OF_CHEAP", 4)
    with open_pool() as pool:
        found = search_cells(pool, problem, np.arange(23), W, b, seed=0)
        again = search_cells(pool, problem, np.arange(23), found.W, found.b, seed=0, inverse=found.inverse)
    assert np.all(found.loss <= alone.loss * (1 + SAME_MINIMUM))
    assert_allclose(again.loss, found.loss, rtol=SAME_MINIMUM)
    assert_allclose(theory.population_loss(found.W, found.b, problem), found.loss, rtol=1e-12)


def test_where_optima_tie_a_cell_has_what_the_next_lower_density_has() -> None:
    data = exact_phase_diagram(3, 2, 8, (0.8, 1.0), (2.0, 10.0))
    assert data["geometry"].values[-1].tolist() == data["geometry"].values[-2].tolist()


def test_summary_and_picture_name_the_variant_and_only_where_it_is_not_the_usual_one(pair: xr.Dataset) -> None:
    other = pair.assign_attrs(Variant(values=BINARY, terms=theory.Terms(noise=0.1)).told())
    for data, named in ((pair, False), (other, True)):
        title = theory.draw_phase_diagram(data).get_suptitle()
        for text in (title, summary(data)):
            assert ("values binary" in text) is named
            assert ("noise=0.1" in text) is named


def test_summary_names_phases_and_boundaries(triple: xr.Dataset) -> None:
    text = summary(triple)
    for words in ("not represented", "dedicated | superposition, first order", "digon + dedicated", "p = 4/7"):
        assert words in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 3, "m": 3}, r"m must lie in 1 ... n-1 = 2, got m = 3"),
        ({"n": 9, "m": 2}, "2 <= n <= 8 features, got n = 9"),
        ({"resolution": 1}, "resolution must be at least 2"),
        ({"density": (0.5, 0.1)}, "density needs 0 < LO < HI <= 1, got 0.5 0.1"),
        ({"importance": (0.0, 1.0)}, "importance needs 0 < LO < HI, got 0 1"),
    ],
)
def test_bad_input_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_phase_diagram(**arguments)  # type: ignore[arg-type]


def test_default_resolution_falls_with_the_number_of_features() -> None:
    resolutions = [default_resolution(n) for n in range(2, 9)]
    assert resolutions[0] == resolutions[1] == 60
    assert resolutions == sorted(resolutions, reverse=True)


def test_both_transitions_are_found_where_a_third_solution_is_best_in_between() -> None:
    data = exact_phase_diagram(3, 2, resolution=2, density=(0.5357, 0.579), importance=(0.645, 0.655))
    along = data["boundary_along"].values == "density"
    assert along.sum() == 4
    for cell in (0, 1):
        here = along & (data["boundary_cell"].values == cell)
        p = np.sort(data["boundary_density"].values[here])
        assert_allclose(p, [0.5377, 0.5539], atol=4e-3)
        assert (data["boundary_order"].values[here] == 1).all()
        middle = extra_feature_problem(3, 2, np.full(42, p.mean()), np.full(42, data["importance"].values[cell]))
        W, b = random_starts(middle, 40, np.random.default_rng(0))
        ends = data.isel(importance=cell)
        W, b = np.concatenate([W, ends["W"].values]), np.concatenate([b, ends["b"].values])
        found = refine(middle, W, b)
        assert found.loss[:40].min() < found.loss[40:].min() * (1 - 1e-3)


def test_both_transitions_are_found_where_a_saddle_hides_what_is_best_in_between() -> None:
    """A jump within superposition at p = 0.763, then an overlap that fades out until 0.774: nothing may skip it."""
    density = np.geomspace(0.5, 1, 24)[14:16]
    importance = np.geomspace(0.6, 1.5, 24)[17:18]
    problem = extra_feature_problem(3, 2, density, importance.repeat(2))
    # In the denser cell the extra feature is dedicated, to the last bit: followed down it stays so, on a saddle.
    dedicated = np.array([[0, 0, 1.0], [-0.45, 0.93, 0]])
    shared = np.array([[-0.4, -0.4, 0.9], [0.7, -0.7, 0]])
    found = refine(problem, np.array([shared, dedicated]), np.array([[0.4, 0.4, 0.2], [0.5, 0.2, 0]]))
    assert_allclose(found.loss, [0.1072114, 0.1062596], atol=1e-7)  # what 60 random starts find, too
    grid = Grid(density, importance, *(x[:, None] for x in (found.W, found.b, found.loss, found.inverse)))
    phase = phase_of(grid.W)
    assert [PHASES[k] for k in phase[:, 0]] == ["superposition", "dedicated"]
    boundary = find_boundaries(grid, phase)
    ends = [(PHASES[k], PHASES[j]) for k, j in zip(boundary.before, boundary.after, strict=True)]
    assert ends == [("superposition", "superposition"), ("superposition", "dedicated")]
    assert boundary.order.tolist() == [1, 2]
    # By 60 random starts per density, 0.001 apart.
    assert_allclose(boundary.density, [0.7632, 0.7737], atol=5e-4)


def test_a_diagram_of_one_phase_has_no_boundary() -> None:
    data = exact_phase_diagram(3, 2, resolution=2, density=(0.01, 0.011), importance=(2, 2.2))
    assert data.sizes["boundary"] == 0
    assert (data["phase"] == PHASES.index("dedicated")).all()
    draw_phase_diagram(data)


def test_where_errors_are_integrated_a_search_has_many_steps_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar over two chunks of thousands of starts would stand still for minutes."""
    jobs: list[int] = []

    def told(_: object, given: list[tuple[Any, ...]]) -> Iterator[tuple[int, LocalMinima]]:
        jobs.append(len(given))
        for k, (_problem, W, b, *_) in enumerate(given):
            assert len(W) <= 80
            zero = np.zeros(len(W))
            yield k, LocalMinima(W, b, zero, zero == 0, zero, np.zeros((len(W), 4, 4)))

    for variant in (Variant(values=value_law("gamma:0.5")), Variant(terms=Terms(l1=0.1))):
        problem = extra_feature_problem(2, 1, np.geomspace(0.05, 0.9, 23), 1.0, variant)
        W, b = random_starts(problem, 23 * 40, np.random.default_rng(0))
        search_cells(Pool(told), problem, np.repeat(np.arange(23), 40), W, b, seed=0)
    assert jobs == [12, 12]
