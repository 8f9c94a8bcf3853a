"""Claim 17: the regimes of learning, and the octahedron at its end."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures import learning_dynamics
from figures.learning_dynamics import compute, draw, judge
from figures.parts.learning_rests import stages_of_rests
from figures.shared.verdicts import PARTLY
from theory import load_result, save_result
from theory.packing.two_sets import STAGES, angles

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_claim_17_the_levels_are_saddle_points_in_closed_form(data: xr.Dataset) -> None:
    p = learning_dynamics.DRAWN
    one_set, sets = 3 * (p / 3 - p**2 / 4) + p / 6, p / 3
    found = data["level_loss"].sel(level=["nothing", "one set collapsed", "sets collapsed"])
    assert_allclose(found, np.array([6 * (p / 3 - p**2 / 4), one_set, sets]) / (2 * p), rtol=1e-12)
    assert (data["level_loss"] <= data["level_ideal"] * (1 + 1e-12)).all()
    assert_allclose(data["level_loss"], data["level_ideal"], rtol=0.02)


def test_claim_17_the_loss_rests_at_exact_levels(data: xr.Dataset) -> None:
    stages = stages_of_rests(data)
    assert (stages >= 0).all()
    visited = {STAGES[k] for k in stages}
    assert {"sets collapsed", "octahedron"} <= visited


def test_claim_17_the_optimum_is_a_slightly_turned_octahedron(data: xr.Dataset) -> None:
    partners, others = angles(data["octahedron"].values)
    assert_allclose([partners, others], [178.05, 2.00], atol=0.01)
    assert_allclose(data["level_loss"].sel(level="octahedron"), 0.02487821, atol=1e-7)


def test_beyond_a_density_it_is_no_octahedron(data: xr.Dataset) -> None:
    assert_allclose(data["crossing"], 0.17873, atol=1e-5)
    assert data["other_loss"].sel(density=0.2) < data["octahedral_loss"].sel(density=0.2)


def test_claim_17_holds_from_small_weights_and_not_from_those_of_the_paper(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert verdict.claim == 17
    assert verdict.outcome.startswith(PARTLY)
    starts = {choice.label: choice.agrees for choice in verdict.findings[0].choices}
    assert starts == {"from small weights": True, "from Xavier's weights": False, "the paper's recipe": False}
    assert [finding.agrees for finding in verdict.findings[3:5]] == [True, True], "octahedra from either"


def test_the_verdict_survives_saving(data: xr.Dataset, tmp_path: object) -> None:
    save_result(data, f"{tmp_path}/data.nc")
    assert judge(load_result(f"{tmp_path}/data.nc")) == judge(data)


@pytest.mark.parametrize(("name", "wrong"), [("STATED_REGIMES", 12), ("STATED_ANGLE", 90.0)])
def test_a_wrong_statement_is_found_wrong(
    data: xr.Dataset, monkeypatch: pytest.MonkeyPatch, name: str, wrong: float
) -> None:
    monkeypatch.setattr(learning_dynamics, name, wrong)
    (verdict,) = judge(data)
    assert sum(finding.agrees is False for finding in verdict.findings) == 1


def test_unrelated_courses_of_loss_and_weights_are_found_unrelated(data: xr.Dataset) -> None:
    backwards = data.assign(W=(data["W"].dims, data["W"].values[:, ::-1]))
    found = {finding.stated: finding for finding in judge(backwards)[0].findings}
    assert not found["regimes change when the geometry does"].choices[0].agrees


def test_the_picture_has_five_panels(data: xr.Dataset) -> None:
    assert len(draw(data).axes) == 5
