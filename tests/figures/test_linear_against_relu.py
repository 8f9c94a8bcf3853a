"""Claim 21: what a ReLU adds to the linear model, n = 40 and m = 5."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures import linear_against_relu
from figures.linear_against_relu import (
    IMPORTANCE,
    REPRESENTED,
    SPARSITIES,
    M,
    N,
    best,
    compute,
    draw,
    judge,
    off_diagonal,
    represented,
)
from figures.shared.verdicts import PARTLY
from theory import Problem, feature_norms, population_loss

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_the_linear_optimum_has_the_loss_it_says(data: xr.Dataset) -> None:
    for k, sparsity in enumerate(SPARSITIES):
        problem = Problem(n=N, m=M, density=1 - sparsity, importance=IMPORTANCE)
        exact = population_loss(np.eye(M, N), data["linear_b"].values[k], problem, model="linear")
        assert_allclose(exact, data["linear_loss"].values[k], rtol=1e-12)


def test_the_linear_model_learns_the_first_five_at_every_sparsity(data: xr.Dataset) -> None:
    ratio = data["loss"].sel(model="linear").values[:, 0] / data["linear_loss"].values
    assert (ratio >= 1 - 1e-12).all(), "nothing is below the exact optimum"
    assert_allclose(ratio, 1, atol=0.01)
    assert (represented(data)[0] == 5).all()
    W, b = best(data, "linear", 2)
    assert_allclose(W.T @ W, np.diag(np.arange(N) < M), atol=0.1)
    assert_allclose(b, data["linear_b"].values[2], atol=0.01)


def test_claim_21_relu_reaches_less_important_features_unless_they_are_dense(data: xr.Dataset) -> None:
    counts = represented(data)[1:, :, 0]
    assert (counts[:, 0] == 5).all(), "at S = 0.1 both ReLU models are the linear one"
    assert (counts[:, 1] >= 7).all()
    assert (counts[:, 2] >= 11).all()
    for model in ("relu", "relu_hidden"):
        W, _ = best(data, model, 2)
        assert np.flatnonzero(feature_norms(W) > REPRESENTED).max() >= 10
    ratio = data["loss"].sel(model="relu").values[:, 0] / data["linear_loss"].values
    assert_allclose(ratio[0], 1, atol=0.01)
    assert ratio[1] < 0.98
    assert ratio[2] < float(data["pairing_loss"][2] / data["linear_loss"][2]) < 0.8


def test_claim_21_off_the_diagonal_only_relu_models_grow_so_that_outputs_do_differ(data: xr.Dataset) -> None:
    size = off_diagonal(data)[..., 0]
    assert (size[0] < 1).all()
    assert (np.diff(size[1:], axis=1) > 1).all()
    assert (size[1:, 2] > 10 * size[0, 2]).all()


def test_claim_21_biases_turn_negative_rather_than_small(data: xr.Dataset) -> None:
    _, linear = best(data, "linear", 2)
    W, relu = best(data, "relu", 2)
    stored = feature_norms(W) > REPRESENTED
    assert (relu[stored] < -0.1).all()
    assert np.abs(relu).mean() > 2 * np.abs(linear).mean()
    _, dense_linear = best(data, "linear", 1)
    _, dense_relu = best(data, "relu", 1)
    assert np.abs(dense_relu).mean() < np.abs(dense_linear).mean()


def test_claim_21_holds_in_part(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert verdict.claim == 21
    assert verdict.outcome.startswith(PARTLY)
    said = {finding.stated: finding.agrees for finding in verdict.findings}
    norms = {choice.label: choice.agrees for choice in verdict.findings[0].choices}
    assert norms["norm above 0.5"]
    assert norms["the paper's recipe, norm above 0.5"]
    reach = [said[f"S = {s:g}: ReLU models reach less important features"] for s in SPARSITIES]
    assert reach[1:] == [True, True]
    assert said["S = 0.1: they compress much better"] is False
    readings = next(f for f in verdict.findings if f.stated.startswith("linear: the biases"))
    assert readings.depends, "the parameters, or how far outputs are off"
    assert said["ReLU: W^T W off the diagonal is much bigger when sparse"] is True
    assert said["linear: the same"] is False
    alike = next(f for f in verdict.findings if f.stated == "not much difference between linear and ReLU")
    by_label = {choice.label: choice.agrees for choice in alike.choices}
    assert not any(agrees for label, agrees in by_label.items() if "S = 0.9" in label)
    assert any(label.startswith("S = 0.1") for label in by_label), "the brackets may be about either sparsity"


def test_five_features_that_are_not_the_top_five_do_not_agree(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    for name in ("W", "paper_W"):
        changed[name][:] = data[name].values[..., ::-1]
    assert judge(data)[0].findings[0].agrees is not False
    assert judge(changed)[0].findings[0].agrees is False


def test_another_number_of_top_features_would_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_against_relu, "STATED_TOP", 6)
    (verdict,) = judge(data)
    assert verdict.findings[0].agrees is False


def test_the_picture_has_nine_models_and_three_panels_of_numbers(data: xr.Dataset) -> None:
    assert len(draw(data).axes) == 9 + 1 + 3
