"""Claim 20: recovery from the projection, against the number of active features and against density."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import figures.compressed_sensing as script
from figures.compressed_sensing import compute, draw, judge, recover
from figures.shared.verdicts import HOLDS
from theory import load_result, save_result
from theory.frames.recovery import l1_success

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_claim_20_only_sparse_signals_are_recovered(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert (verdict.claim, verdict.outcome) == (20, HOLDS)
    dense, sparse = verdict.findings[:2]
    assert {choice.label.split(", ")[1] for choice in dense.choices} == {"random W", "trained W"}
    assert len(dense.choices) == len(sparse.choices) == 2, "on this coarse grid one number is sparse and one dense"


def test_a_share_that_falls_early_makes_the_verdict_depend_on_what_is_sparse() -> None:
    active = np.arange(1, 31)
    early = np.where(active < 4, 1.0, 0.0)
    data = xr.Dataset(
        {"recovered": (("projection", "active"), [early, early])},
        coords={"projection": ["random", "trained"], "active": active},
        attrs={"m": 30},
    )
    found = script._share_recovered(data, "sparse", script.STATED_SPARSE, script.SPARSE)
    assert found.depends
    assert [choice.agrees for choice in found.choices] == [True, True, False] * 2
    assert script._share_recovered(data, "dense", script.STATED_DENSE, script.DENSE).agrees


def test_wrong_stated_numbers_do_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "STATED_DENSE", 0.3)
    monkeypatch.setattr(script, "STATED_SPARSE", 0.7)
    assert [finding.agrees for finding in judge(data)[0].findings] == [False, False, None, None, True]


def test_shares_recovered_are_those_of_the_theory(data: xr.Dataset) -> None:
    n, m = data.attrs["n"], data.attrs["m"]
    for k, share in zip(data["active"].values, data["recovered"].sel(projection="random").values, strict=True):
        expected = l1_success(int(k), m, n)
        # Four standard errors, and half of an active feature for the normal approximation's own error.
        slack = abs(l1_success(int(k) + 1, m, n) - l1_success(max(int(k) - 1, 0), m, n)) / 4
        assert abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / data.attrs["trials"]) + slack + 0.01


def test_the_program_finds_one_active_feature() -> None:
    W = np.random.default_rng(0).standard_normal((6, 20))
    x = np.zeros(20)
    x[7] = 0.3
    assert_allclose(recover(W, W @ x), x, atol=1e-9)


def test_dense_features_are_read_out_no_better_than_linearly(data: xr.Dataset) -> None:
    n, m = data.attrs["n"], data.attrs["m"]
    assert_allclose(data["readout"].sel(density=1.0), 1 - m / n, atol=0.01)
    assert_allclose(data["tegum"].sel(density=1.0), 1 - m / n, atol=0.01)
    assert (np.diff(data["readout"].sortby("density").values) > 0.1).all()


def test_the_sparse_toy_model_is_at_least_as_good_as_products_of_small_polytopes(data: xr.Dataset) -> None:
    assert (data["readout"].sel(density=[0.1, 0.01]) < data["tegum"].sel(density=[0.1, 0.01])).all()


def test_thresholds_rise_with_the_dimension(data: xr.Dataset) -> None:
    assert_allclose(data["half_measured"], data["half_theory"], rtol=0.25)
    assert (np.diff(data["half_measured"]) > 5).all()


def test_the_verdict_survives_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)


def test_the_picture_has_three_panels(data: xr.Dataset) -> None:
    assert [axes.get_title(loc="left")[:3] for axes in draw(data).axes] == ["(a)", "(b)", "(c)"]
