"""Claims 27 to 33 and 37: what superposition needs, decided by exact losses of few features."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures import conditions as script
from figures.conditions import compute, draw, judge
from figures.parts import conditions_measures
from figures.shared.verdicts import DEPENDS, FAILS, HOLDS, Verdict
from theory import Problem, global_optimum, optimise, population_loss


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def verdicts(data: xr.Dataset) -> dict[int, Verdict]:
    return {verdict.claim: verdict for verdict in judge(data)}


def test_what_holds_and_what_does_not(data: xr.Dataset) -> None:
    outcomes = {claim: verdict.outcome for claim, verdict in verdicts(data).items()}
    assert outcomes == {
        27: "holds in 1 of 2 comparisons",
        28: FAILS,
        29: DEPENDS,
        30: FAILS,
        31: HOLDS,
        32: HOLDS,
        33: HOLDS,
        37: "holds in 1 of 2 comparisons, 1 depends on a choice",
    }


def test_a_triangle_of_features_that_are_nearly_always_active_costs_less_than_leaving_one_out(data: xr.Dataset) -> None:
    problem = Problem(n=3, m=2, density=0.9)
    assert_allclose(problem.zero_loss * data["three_loss"].sel(three_density=0.9, three_geometry="2 dedicated"), 0.0975)
    best = global_optimum(problem)
    triangle = float(problem.zero_loss * data["three_loss"].sel(three_density=0.9, three_geometry="triangle"))
    assert_allclose(best.loss, triangle, rtol=1e-9)
    assert triangle < 0.0963


def test_without_any_sparsity_a_triangle_still_costs_less(data: xr.Dataset) -> None:
    assert data["three_density"][-1] == 1
    triangle, out = (
        float(data["three_loss"].sel(three_density=1, three_geometry=name)) for name in ("triangle", "2 dedicated")
    )
    assert_allclose(out, 1 / 12, rtol=1e-9)  # one feature's variance, 1/3 - 1/4, of a zero model's 3 x 1/3
    assert triangle < 0.998 * out
    assert "at p = 1" in verdicts(data)[27].findings[0].found
    sparse = data.isel(three_density=slice(0, -1))
    assert verdicts(sparse)[27].findings[0].agrees is False
    changed = data.copy(deep=True)
    changed["three_loss"].loc[{"three_density": 1.0}] = 1.0
    assert verdicts(changed)[27].findings[0].agrees is True, "what counts is the end of the range"


def test_the_crossings_are_where_two_losses_are_equal(data: xr.Dataset) -> None:
    for name, n, pair in (("triangle", 3, ("triangle", "digon + dedicated")), ("hexagon", 6, ("hexagon", "pentagon"))):
        problem = Problem(n=n, m=2, density=data.attrs[f"{name}_crossing"])
        first, second = (optimise(problem, geometry).loss for geometry in pair)
        assert_allclose(first, second, rtol=1e-9)
    importance = np.ones(5)
    importance[0] = data.attrs["importance_crossing"]
    problem = Problem(n=5, m=2, density=0.05, importance=importance)
    assert_allclose(optimise(problem, "pentagon").loss, optimise(problem, "2 digon").loss, rtol=1e-8)


def test_a_given_model_among_denser_features_costs_what_samples_say(data: xr.Dataset) -> None:
    best = global_optimum(Problem(n=5, m=2, density=0.03), seed=0)
    p, rng = float(data["evaluated_at"][-1]), np.random.default_rng(3)
    x = rng.random((400_000, 5)) * (rng.random((400_000, 5)) < p)
    errors = ((x - np.maximum(x @ best.W.T @ best.W + best.b, 0)) ** 2).sum(1)
    optimum = global_optimum(Problem(n=5, m=2, density=p), seed=0).loss
    expected = (1 + float(data["transfer_excess"][-1, -1])) * optimum
    assert abs(errors.mean() - expected) < 4 * errors.std() / np.sqrt(len(errors))
    assert_allclose(population_loss(best.W, best.b, Problem(n=5, m=2, density=p)), expected, rtol=1e-9)


def test_a_digon_is_in_superposition_and_cannot_be_activated(data: xr.Dataset) -> None:
    digon = data.sel(polytope="digon")
    assert digon["polytope_superposition"] >= 1
    assert digon["polytope_reach"] == 0
    assert_allclose(data["polytope_reach"].sel(polytope="pentagon"), 2 * np.cos(np.deg2rad(72)), rtol=1e-9)


def test_a_relu_that_made_things_worse_would_be_noticed(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(W: np.ndarray, b: np.ndarray, problem: Problem, model: str | None = None) -> float:
        return float(population_loss(W, b, problem, None if model else "linear"))

    monkeypatch.setattr(conditions_measures, "population_loss", swapped)
    assert conditions_measures.relu_gain(Settings(quick=True)).attrs["relu_worst"] > 0.01


def test_other_numbers_would_be_judged_otherwise(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["hexagon_share"][:] = 0
    changed["three_loss"].loc[{"three_geometry": "2 dedicated"}] = 1e-9
    changed["sharing_interference"][:] = np.arange(changed.sizes["sharing_density"])
    changed["transfer_excess"][:] = 0
    outcomes = {claim: verdict.outcome for claim, verdict in verdicts(changed).items()}
    assert outcomes[28] == HOLDS
    assert outcomes[27] == HOLDS
    assert outcomes[37] == HOLDS
    assert outcomes[32] == FAILS
    changed["transfer_excess"][:] = 0.07
    assert verdicts(changed)[32].outcome == DEPENDS
    changed["importance_norm"][:] = [*([1.135] * (changed["importance_norm"].size - 1)), 0.4]
    assert verdicts(changed)[33].findings[0].agrees is False, "a step as large as the snap is none"


def test_six_panels(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 6
    assert all(axes.get_title(loc="left") for axes in figure.axes)
    assert (script.__doc__ or "").startswith("What superposition needs")
