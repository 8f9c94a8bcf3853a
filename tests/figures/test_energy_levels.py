"""Claim 34: levels of the dimensionalities during learning, and the wall between digons and pentagon."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures.energy_levels import compute, draw, judge, levels_visited, wall_height
from figures.parts.energy_measures import five, levels_of
from figures.shared.verdicts import Finding
from theory import optimise, population_loss


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def findings(data: xr.Dataset) -> list[Finding]:
    (verdict,) = judge(data)
    assert verdict.claim == 34
    return list(verdict.findings)


def test_rests_are_at_exact_stationary_points_that_differ(data: xr.Dataset) -> None:
    assert data["rest_found"].mean() > 0.8
    loss, D = levels_of(data)
    assert len(loss) >= 3
    assert_allclose(loss[-1], optimise(five(), "pentagon").loss / five().zero_loss, rtol=1e-9)
    assert_allclose(D[-1], 0.4, atol=1e-6)
    # Before the last level there are saddle points: each with its own directions of descent.
    assert data["rest_index"].values[data["rest_found"].values].max() >= 4


def test_learning_from_small_weights_jumps_and_the_verdict_depends_on_the_start(data: xr.Dataset) -> None:
    assert all(len(levels) >= 2 for levels in levels_visited(data, 0, 0.02))
    jumps = findings(data)[0]
    assert jumps.depends
    assert not any(choice.agrees for choice in jumps.choices if choice.label.startswith("Xavier"))


def test_the_optimum_jumps_where_digons_and_pentagon_cost_the_same(data: xr.Dataset) -> None:
    problem = five(data.attrs["crossing"])
    assert_allclose(optimise(problem, "2 digon").loss, optimise(problem, "pentagon").loss, rtol=1e-9)
    assert data.attrs["crossing"] == pytest.approx(0.224875, abs=1e-6)
    assert findings(data)[1].agrees


def test_the_wall_is_a_saddle_between_two_minima_and_sinks_with_the_density(data: xr.Dataset) -> None:
    assert (data["wall_index"] == 1).all()
    assert (data["wall_joins"] == 1).all()
    p, height = wall_height(data)
    assert (np.diff(height) > 0).all()
    assert 0 < height[0] < 1e-5
    assert_allclose(np.polyfit(np.log(p), np.log(height), 1)[0], 3.3, atol=0.2)


def test_no_straight_way_from_digons_to_pentagon_is_lower_than_the_wall(data: xr.Dataset) -> None:
    """The saddle is the lowest pass: straight ways, whichever vertex the fifth feature takes, climb higher."""
    k = int(np.abs(data["wall_density"].values - 0.1).argmin())
    problem = five(float(data["wall_density"][k]))
    digons, pentagon = optimise(problem, "2 digon"), optimise(problem, "pentagon")
    share = np.linspace(0, 1, 200)[:, None, None]
    for turn in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        W = (1 - share) * digons.W + share * (R @ pentagon.W)
        b = (1 - share[..., 0]) * digons.b + share[..., 0] * pentagon.b
        assert population_loss(W, b, problem).max() / problem.zero_loss > float(data["wall_saddle"][k])


def test_models_leave_the_digons_the_sooner_the_larger_the_steps(data: xr.Dataset) -> None:
    still = data["still"].sel(life_density=0.05)
    assert (still.isel(life_step=0) == 1).all()
    assert still.sel(noise="Adam 1e-3, batch 1024")[-1] > still.sel(noise="Adam 1e-2, batch 1024")[-1]


def test_other_numbers_would_be_judged_otherwise(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["dimensionality"] = changed["dimensionality"] + 0.03
    changed["digon_share"][:] = 0.5
    changed["still"][:] = 1
    changed["optimal_dimensionality"][:] = 0.4
    assert [finding.agrees for finding in findings(changed)[:4]] == [False, False, True, True]


def test_sticky_is_a_tenth_or_half_of_the_runs(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["digon_share"][:] = 0.3
    changed["still"][:] = 0.3
    assert all(finding.depends for finding in findings(changed)[2:4])


def test_six_panels_with_a_finding_as_the_title(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 6
    assert f"of {data.sizes['stretch']} rests" in figure.get_suptitle()
