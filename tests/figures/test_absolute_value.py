"""Claim 26: absolute values, computed by more features than neurons."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import figures.absolute_value as script
from figures.absolute_value import compute, computed, draw, judge, neurons_per_feature, one_neuron_loss
from numerics import Parameters, forward, sample
from theory import Independent, load_result, save_result, unrepresented_loss
from theory.model.values import UNIFORM, Symmetrised

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_claim_26_more_features_than_two_neurons_each_allow(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert verdict.claim == 26
    # The quick version is small: by the strictest choice fewer features are computed. In full all choices agree.
    assert not any(finding.agrees is False for finding in verdict.findings)
    halves = [choice for finding in verdict.findings for choice in finding.choices if "below 0.5" in choice.label]
    assert [choice.agrees for choice in halves] == [True, True]


def test_a_wrong_stated_number_does_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "STATED_FEATURES_PER_NEURON", 3.0)
    monkeypatch.setattr(script, "STATED_SMALL_LOSS", 0.5)
    assert [finding.agrees for finding in judge(data)[0].findings] == [False, False, True, False, True]


def test_two_neurons_per_feature_compute_absolute_values_exactly(data: xr.Dataset) -> None:
    W = np.kron(np.eye(3), [[1.0], [-1.0]])
    exact = Parameters(W, np.zeros(3), np.abs(W).T)
    x = sample(Independent([0.5] * 3, Symmetrised(UNIFORM)), 100, np.random.default_rng(0))
    assert_allclose(forward(exact, x, "absolute"), np.abs(x), atol=1e-15)
    assert data["small_loss"].max() < 1e-3
    served, purity = neurons_per_feature(data)
    assert (served == 2).all()
    assert purity.min() > 0.95
    assert_allclose(data["small_contribution"].sum("small_neuron"), 2.0, atol=0.05)


@pytest.mark.parametrize("density", [0.01, 0.3, 1.0])
def test_one_neuron_saves_at_most_half_of_what_two_save(density: float) -> None:
    u = (np.arange(20_000) + 0.5) / 20_000

    def loss(v: np.ndarray) -> float:
        a, b = v
        silent = max(b, 0.0)
        own = np.maximum(a * u + b, 0)
        missed = np.mean((u - silent) ** 2)
        return float((1 - density) * silent**2 + density / 2 * (missed + np.mean((u - own) ** 2)))

    found = minimize(loss, (0.9, density / 3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14}).fun
    assert_allclose(found, one_neuron_loss(density), rtol=1e-6)
    both = unrepresented_loss(density)
    assert both - one_neuron_loss(density) <= both / 2


def test_dense_models_share_no_neuron_and_sparse_ones_beat_what_is_possible_without(data: xr.Dataset) -> None:
    assert (data["loss"].sel(density=1.0) > 1).all()
    assert (data["loss"].sel(density=0.03) < 0.7).all()
    counts = computed(data)
    assert (counts[:, 0] <= data.attrs["m"] // 2).all()
    assert counts[0, -1] > data.attrs["m"]
    assert (counts[:, -1] > data.attrs["m"] // 2).all()


def test_two_independent_estimates_of_the_loss_agree(data: xr.Dataset) -> None:
    n, m = data.attrs["n"], data.attrs["m"]
    # The errors come from 20000 samples, the loss and its standard error from 64 batches of 256.
    tolerance = 4 * np.sqrt(1 + 64 * 256 / 20_000) * data["standard_error"].values
    assert (tolerance < 0.2 * data["loss"].values).all(), "else the comparison could not fail"
    for j, decay in enumerate(script.PROFILES.values()):
        importance = decay ** np.arange(n)
        total = data["error"].values[j] @ importance / importance[m // 2 :].sum()
        assert (np.abs(total - data["loss"].values[j]) < tolerance[j]).all()


def test_the_verdict_survives_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)


def test_the_picture_has_five_panels_and_a_scale(data: xr.Dataset) -> None:
    assert len(draw(data).axes) == 6
