"""Claim 18: a ReLU on the hidden layer makes neurons readable."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import figures.privileged_basis as script
from figures.parts.privileged_measures import (
    MONOSEMANTIC,
    THRESHOLDS,
    M,
    N,
    largest_share,
    monosemantic,
    monosemantic_loss,
    problem,
)
from figures.privileged_basis import compute, draw, judge
from figures.shared.verdicts import PARTLY
from numerics import stratified_loss
from theory import load_result, population_loss, save_result

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_claim_18_the_hidden_relu_makes_neurons_readable(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert verdict.claim == 18
    assert verdict.outcome.startswith(PARTLY)
    readable, both = verdict.findings[1:]
    by_label = {choice.label: choice.agrees for choice in readable.choices}
    assert by_label["p = 1, the best run, share above 0.9"], "dense features have neurons of their own"
    assert not any(agrees for label, agrees in by_label.items() if label.startswith("p = 0.03")), "sparse ones share"
    assert both.agrees


def test_neurons_that_can_be_read_at_every_density_would_agree(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    for name in ("W", "paper_W"):
        changed[name].loc[{"model": "relu_hidden"}] = np.eye(M, N)
    assert judge(changed)[0].findings[1].agrees is True
    changed["rotated_share"][:] = 1
    assert judge(changed)[0].findings[1].agrees is False, "no more than by chance"


def test_a_wrong_stated_number_does_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "ROTATION_CHANGES", 1e6)
    assert [finding.agrees for finding in judge(data)[0].findings] == [False, None, True]


def test_the_hidden_relu_does_not_change_the_monosemantic_solution() -> None:
    p = 0.3
    W, b = np.eye(M, N), np.where(np.arange(N) < M, 0.0, p / 2)
    assert_allclose(population_loss(W, b, problem(p)), monosemantic_loss(p), rtol=1e-7)
    estimate, error = stratified_loss(W, b, problem(p), samples=20_000, model="relu_hidden")
    assert 4 * error < 0.05 * estimate, "else the comparison could not fail"
    assert abs(estimate - monosemantic_loss(p)) < 4 * error


def test_the_loss_without_hidden_relu_is_the_exact_one(data: xr.Dataset) -> None:
    sparse = data.isel(density=1, instance=0).sel(model="relu")
    p = float(sparse["density"])
    exact = population_loss(sparse["W"].values, sparse["b"].values, problem(p)) / monosemantic_loss(p)
    assert_allclose(sparse["loss"], exact, rtol=0.1)  # 4000 samples; their error is about 3 %


def test_rotations_change_nothing_without_a_hidden_relu(data: xr.Dataset) -> None:
    assert_allclose(data["rotated"].sel(model="relu"), 1, rtol=1e-6)
    assert data["rotated"].sel(model="relu_hidden").median(["instance", "rotation"]).min() > 2


def test_monosemantic_neurons_give_way_to_polysemantic_ones(data: xr.Dataset) -> None:
    counts = monosemantic(data)
    assert 2 <= counts[0, 1].max() < M, "p = 0.3: monosemantic neurons beside polysemantic ones"
    assert counts[0, 2].max() <= 1
    assert counts[1].max() <= 1
    for threshold in THRESHOLDS:
        assert_allclose(monosemantic(data, threshold)[0, 1:], monosemantic(data, MONOSEMANTIC)[0, 1:], atol=1)


def test_shares_of_known_neurons() -> None:
    W = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.01, 0.0, 0.0]])
    assert_allclose(largest_share(W), [1, 0.5, 0])


def test_superposition_comes_later_than_without_the_hidden_relu(data: xr.Dataset) -> None:
    least = data["loss"].min("instance").values
    assert_allclose(least[:, 0], 1, atol=0.02)
    assert (least[0, 1:] > least[1, 1:] + 0.1).all()
    assert (least[0, 1:] < 1).all()


def test_the_verdict_survives_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)


def test_the_picture_has_every_density_twice_and_three_panels(data: xr.Dataset) -> None:
    assert len(draw(data).axes) == 2 * 3 + 3
