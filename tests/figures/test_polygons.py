"""Claim 25: regular polygons in the one-sparse limit, and the best of them against density."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures.polygons import PUBLISHED, compute, draw, judge, saving
from figures.shared.verdicts import HOLDS, PARTLY

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


@pytest.mark.parametrize("k", PUBLISHED)
def test_claim_25_published_norms_and_biases_are_reproduced_to_their_last_digit(data: xr.Dataset, k: int) -> None:
    row = data.sel(k=k)
    assert_allclose([float(row["norm"]), float(row["bias"])], PUBLISHED[k], atol=6e-6)


def test_claim_25_every_polygon_is_a_critical_point_and_large_ones_are_saddles(data: xr.Dataset) -> None:
    assert data["gradient"].max() < 1e-9
    assert data["k"].values[data["curvature"].values > -1e-6].tolist() == list(range(2, 10))
    assert data["curvature"].sel(k=slice(10, None)).max() < -1e-4


def test_digon_and_square_lose_nothing_and_the_heptagon_earns_most(data: xr.Dataset) -> None:
    assert_allclose(data["benefit"].sel(k=[2, 4]), 2 / 3, atol=1e-12)
    assert data["k"].values[data["benefit"].values.argmax()] == 7


def test_the_best_polygon_has_fewer_vertices_the_denser_the_features(data: xr.Dataset) -> None:
    order = [*data["sparser"].values.tolist(), data["denser"].values[-1]]
    assert order == ["heptagon", "hexagon", "pentagon", "digon", "triangle"]
    assert_allclose(data["crossing"], [0.013906, 0.070087, 0.224875, 0.644240], atol=2e-6)


def test_at_a_crossing_both_shapes_save_the_same(data: xr.Dataset) -> None:
    for p, one, other in zip(data["crossing"].values, data["sparser"].values, data["denser"].values, strict=True):
        assert_allclose(saving(str(one), float(p)), saving(str(other), float(p)), atol=1e-8)


def test_a_dedicated_feature_saves_its_own_loss_at_every_density(data: xr.Dataset) -> None:
    assert_allclose(data["saving"].sel(shape="dedicated"), 1, atol=1e-9)


def test_claim_25_holds(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert (verdict.claim, verdict.outcome) == (25, HOLDS)
    assert sum(finding.agrees is True for finding in verdict.findings) == 5


def test_another_published_norm_would_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    norm, bias = PUBLISHED[5]
    monkeypatch.setitem(PUBLISHED, 5, (norm + 1e-5, bias))
    (verdict,) = judge(data)
    assert verdict.outcome.startswith(PARTLY)
    assert [finding.stated for finding in verdict.findings if finding.agrees is False] == ["k = 5: norm = 1.17047"]


def test_the_picture_has_three_panels(data: xr.Dataset) -> None:
    assert [axes.get_title(loc="left")[:3] for axes in draw(data).axes] == ["(a)", "(b)", "(c)"]
    assert np.isfinite(data["saving"]).all()
