"""The learned phase diagram: cells compared, boundaries, causes, and the claim of 95 %."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from numerics.agreement.__main__ import main
from numerics.agreement.phases import CAUSES, agreement_shares, compare_phases, near_boundary, phase_agreement
from numerics.agreement.tables import describe_grid
from theory.geometry.phases import PHASES
from theory.model.extra_feature import extra_feature_problem
from theory.model.set_names import sets_of_names
from theory.model.variant import Variant
from theory.phase_diagram.diagram import exact_phase_diagram

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def exact(at_full_speed: None) -> xr.Dataset:
    return exact_phase_diagram(2, 1, resolution=8)


def compared(exact: xr.Dataset, W: np.ndarray, b: np.ndarray) -> xr.Dataset:
    problem = extra_feature_problem(2, 1, exact["density"].values[:, None], exact["importance"].values)
    return compare_phases(exact, problem, W.reshape(-1, 1, 2), b.reshape(-1, 2))


def noisy(exact: xr.Dataset, runs: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Every cell's exact optimum, once per run, with noise."""
    rng = np.random.default_rng(0)
    W, b = (np.repeat(exact[name].values[:, :, None], runs, axis=2) for name in ("W", "b"))
    return W + noise * rng.standard_normal(W.shape), b + noise * rng.standard_normal(b.shape)


def test_noise_changes_the_phase_of_the_bare_weights_but_not_that_of_their_minimum(exact: xr.Dataset) -> None:
    data = compared(exact, *noisy(exact, 2, 0.02))
    assert (data.run_phase == data.phase).all()
    assert (data.run_bare_phase != data.phase).any()
    assert_allclose(data.learned_local_gap, 0, atol=1e-9)
    assert (data.learned_gap > 0).all()
    assert_allclose(data.share.sum("phase_index"), 1)


def test_a_model_far_above_its_minimum_agrees_with_nothing(exact: xr.Dataset) -> None:
    little, much = (compared(exact, *noisy(exact, 1, noise)) for noise in (1e-4, 0.1))
    assert agreement_shares(little).far == agreement_shares(little).far_cells == 64
    assert not much.agrees.values[0].any()
    assert {CAUSES[k] for k in much.cause.values[0]} == {"not converged"}


def test_the_best_run_is_the_one_of_lowest_loss(exact: xr.Dataset) -> None:
    W, b = noisy(exact, 3, 0.0)
    W[:, :, [0, 2]] += 0.1
    data = compared(exact, W, b)
    assert (data.best == 1).all()
    assert_allclose(data.learned_W.values, exact.W.values)


def test_disagreements_have_their_causes(exact: xr.Dataset) -> None:
    """One cell each: stuck on another branch, stopped early, beaten theory, diverged run."""
    W, b = noisy(exact, 2, 0.0)
    sparse, dense = (0, 4), (7, 0)
    W[sparse], b[sparse] = [[1.0, 0.0]], [0.0, float(exact.density[0]) / 2]
    lower = exact.copy(deep=True)
    lower["loss"][dense] *= 1.01
    early = (2, 4)
    W[early], b[early] = [[0.6, 0.0]], 0.05
    W[3, 3, 0] = np.nan
    data = compared(lower, W, b)
    assert CAUSES[int(data.cause[sparse])] == "metastable"
    assert CAUSES[int(data.cause[dense])] == "theory wrong"
    assert CAUSES[int(data.cause[early])] == "not converged"
    assert data.run_phase.values[3, 3].tolist() == [-1, int(exact.phase[3, 3])]
    assert (data.cause == 0).sum() == 61
    told = describe_grid(data)
    assert sum(line.endswith(("metastable", "theory wrong", "not converged")) for line in told.splitlines()) == 3


def test_cells_near_a_boundary_are_those_that_a_small_change_takes_across(exact: xr.Dataset) -> None:
    phase = exact["phase"].values
    fine = exact_phase_diagram(2, 1, resolution=2, density=(0.17, 0.19), importance=(0.1, 0.11))
    assert fine.sizes["boundary"] >= 1
    assert near_boundary(fine, within=0.2)[:, 0].all()
    # At importance 0.1 the boundary is at p = 0.181247 (tests of the phase diagram): 6.6 % and 4.8 % away.
    assert near_boundary(fine)[:, 0].tolist() == [False, True]
    assert near_boundary(exact).sum() < phase.size / 4


def test_a_small_grid_is_learned_from_samples_and_from_the_exact_loss() -> None:
    for loss in ("sampled", "population"):
        data = phase_agreement(2, 1, resolution=4, instances=4, steps=1200, loss=loss)
        shares = agreement_shares(data)
        # Both features start with the same sign in half of the runs and then stay aligned: in all four of a cell
        # once in 16, in more than four of 16 cells once in 300.
        assert shares.far + shares.near >= 12
        assert shares.theory_wrong == 0
        assert float(data.learned_gap.min()) > -1e-9
        assert data.attrs["loss"] == loss
        assert PHASES[int(data.learned_phase.sel(density=0.01, importance=0.5, method="nearest"))] == "superposition"


def test_unknown_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="loss must be 'sampled' or 'population', got 'exact'"):
        phase_agreement(loss="exact")


def test_the_command_tells_percentages_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--grid",
        "--n",
        "2",
        "--m",
        "1",
        "--resolution",
        "3",
        "--instances",
        "2",
        "--steps",
        "300",
        "--workers",
        "1",
        "--output",
    ]
    main([*arguments, str(tmp_path)])
    told = capsys.readouterr().out
    assert "further than 5% from a boundary" in told
    assert f"{tmp_path}/agreement_grid_n2_m1.nc" in told


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2)])
def test_predicted_and_learned_phase_agree_in_95_percent_of_the_cells_away_from_boundaries(n: int, m: int) -> None:
    data = phase_agreement(n, m, resolution=14, instances=8, workers=2)
    shares = agreement_shares(data)
    assert shares.far_cells > 150
    assert shares.far >= 0.95 * shares.far_cells
    assert shares.theory_wrong == 0


def test_where_the_loss_is_zero_every_phase_agrees_that_has_none() -> None:
    variant = Variant(sets=sets_of_names(["3:exactly-one"]))
    exact = exact_phase_diagram(3, 2, 2, (0.05, 0.3), variant=variant)
    problem = extra_feature_problem(3, 2, exact["density"].values[:, None], exact["importance"].values, variant)
    dedicated, short = np.array([[1.0, -1, 0], [0, 0, 1]]), np.array([[0.9, -0.9, 0], [0, 0, 1]])
    data = compare_phases(exact, problem, np.stack([dedicated, dedicated, short, short]), np.zeros((4, 3)))
    assert data.agrees.values.tolist() == [[True, True], [False, False]]
    assert_allclose(data.learned_gap.values[0], 0, atol=1e-12)
    # Outputs of two features are 0.81 of what they should be; in units of the zero model's loss.
    r = exact["importance"].values
    assert_allclose(data.learned_gap.values[1], 2 * (1 - 0.9**2) ** 2 / (2 + r), rtol=1e-6)
    assert agreement_shares(data).far_bare == 2
    text = describe_grid(data)
    assert "not determined: loss zero  " in text
    assert f"{'not determined: loss zero':28}{'100.0%':>11}{'–':>11}" in text
