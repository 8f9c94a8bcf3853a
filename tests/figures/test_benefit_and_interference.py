"""Claim 3: feature benefit and interference, the stated formulas against the derived ones."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import figures.benefit_and_interference as script
from figures.benefit_and_interference import DENSITIES, PENTAGON_SHARE, compute, draw, judge
from figures.parts import benefit_formulas
from figures.shared.verdicts import HOLDS
from theory import load_result, save_result

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_claim_3_every_stated_formula_equals_the_derived_one(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert (verdict.claim, verdict.outcome) == (3, HOLDS)
    assert {name: data.attrs[f"remainder_{name}"] for name in ("saxe", "one_sparse", "at_one", "sharing")} == {
        "saxe": "0", "one_sparse": "0", "at_one": "0", "sharing": "0",
    }  # fmt: skip


def test_a_wrong_formula_leaves_a_remainder_and_does_not_agree(
    data: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = benefit_formulas._saxe()
    monkeypatch.setattr(benefit_formulas, "_saxe", lambda: 2 * right)
    rest = benefit_formulas.remainders()
    assert rest["saxe"] != 0
    (verdict,) = judge(data.assign_attrs(remainder_saxe=str(rest["saxe"])))
    assert [finding.agrees for finding in verdict.findings] == [False, True, True, True, True, True]


def test_a_wrong_stated_price_does_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "PRICE_OF_NEGATIVE", 0.01)
    assert [finding.agrees for finding in judge(data)[0].findings[-2:]] == [False, False]


def test_positive_interference_is_free_only_with_bias_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines = np.array([-0.5, 0.25, 1.0])
    assert script._pushed_below_zero(cosines).agrees is True
    plain = script.limit_loss
    monkeypatch.setattr(script, "limit_loss", lambda W, b: plain(W, np.asarray(b) / 2))
    assert script._pushed_below_zero(cosines).agrees is False


def test_the_linear_pair_pays_twice_the_squared_cosine(data: xr.Dataset) -> None:
    assert_allclose(data["linear"], 2 * data["cosine"] ** 2, atol=1e-12)


def test_with_one_active_feature_only_a_positive_cosine_costs(data: xr.Dataset) -> None:
    cosine = data["cosine"].values
    assert_allclose(data["plain"].sel(density=0.0), 2 * np.maximum(cosine, 0) ** 2, atol=1e-12)


def test_an_antipodal_pair_costs_what_both_being_active_costs(data: xr.Dataset) -> None:
    p = np.array(DENSITIES)
    found = data["plain"].sel(density=list(DENSITIES), cosine=-1.0).values
    assert_allclose(found, (p**2 / 3) / (p / 3 - p**2 / 4), rtol=1e-12)


def test_optimising_never_costs_more_and_parallel_features_cost_one_of_them(data: xr.Dataset) -> None:
    assert (data["tuned"] <= data["plain"] + 1e-12).all()
    assert_allclose(data["tuned"].sel(cosine=1.0), 1, atol=1e-4)


def test_trained_pairs_reach_the_optimised_loss(data: xr.Dataset) -> None:
    sparse = data.sel(trained_density=[0.1, 0.3], density=[0.1, 0.3], cosine=-1.0)
    assert (sparse["pair_coupling"] < -0.9).all()
    assert (sparse["pair_loss"].values >= sparse["tuned"].values - 1e-6).all()
    assert_allclose(sparse["pair_loss"], sparse["tuned"], rtol=0.02)


def test_trained_relu_models_prefer_negative_interference(data: xr.Dataset) -> None:
    relu = data["negative_share"].sel(model="relu")
    assert relu.min() > 0.8
    assert_allclose(relu.sel(learned_density=0.03), PENTAGON_SHARE, atol=0.02)
    assert pytest.approx((3 + np.sqrt(5)) / 6) == PENTAGON_SHARE


def test_the_verdict_survives_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)


def test_the_picture_has_three_panels(data: xr.Dataset) -> None:
    assert [axes.get_title(loc="left")[:3] for axes in draw(data).axes] == ["(a)", "(b)", "(c)"]
