"""Claims 6 and 7: the predicted staircase, and trained models on it."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures import staircase
from figures.parts.staircase_panels import NAMED
from figures.staircase import clusters, compute, draw, even_fall, judge, plateau
from theory import load_result, save_result

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_the_staircase_descends_from_one_feature_per_dimension(data: xr.Dataset) -> None:
    steps = data["dimensions_per_feature"].values
    assert_allclose(steps[0], 1, atol=0.05)
    assert (np.diff(steps) < 1e-6).all()
    at_half = data["dimensionality"].sel(factor="digon").values
    assert_allclose(at_half[~np.isnan(at_half)], 0.5, atol=1e-9)


def test_trained_models_agree_with_digons_where_these_are_best(data: xr.Dataset) -> None:
    k = 1
    assert data["product"].values[2 * k] == "4 digon + 32 unrepresented"
    assert 0 <= data["excess"].values[k] < 0.02
    long = data["learned_norm"].values[k] > 0.9
    # Three of the four digons: the fourth dimension still holds a little of many features after so few steps.
    assert long.sum() >= 6
    assert_allclose(data["learned_dimensionality"].values[k][long], 0.5, atol=0.01)


def test_sparse_trained_models_beat_every_product_of_the_named_polytopes(data: xr.Dataset) -> None:
    assert data["excess"].values[-1] < -0.05


def test_claim_6_a_plateau_is_measured_as_its_part_of_the_range() -> None:
    x, average = 10.0 ** np.arange(7), np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    # Straight down from 1 to 1/2 in one of six intervals: a tenth of it is within 5 % of 1, a twentieth of 1/2.
    assert_allclose(plateau(x, average, 1.0), [(2 + 0.1) / 6, 1, 10**2.1], rtol=2e-3)
    assert_allclose(plateau(x, average, 0.5), [(3 + 0.05) / 6, 10**2.95, 10**6], rtol=2e-3)
    even = np.geomspace(1, 0.1, 500)
    assert_allclose(even_fall(even), plateau(1 / even, even, 0.5)[0], rtol=5e-3)
    assert plateau(x, average, 0.2)[0] == 0


def test_claim_7_a_cluster_stands_out_from_its_surroundings() -> None:
    rng = np.random.default_rng(0)
    even = rng.uniform(0.3, 0.7, 40_000)
    for value in (0.375, 0.5):
        assert_allclose(clusters(even, value), 0.05, atol=0.005)
    # Features at 2/5 are no surroundings of 3/8.
    share, expected = clusters(np.concatenate([even, np.full(20_000, 0.375), np.full(20_000, 0.4)]), 0.375)
    assert_allclose([share, expected], [0.25 + 0.025, 0.025], atol=0.004)


def test_verdicts_survive_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)
    assert [verdict.claim for verdict in judge(data)] == [6, 7]


def test_claim_7_digons_are_a_cluster_and_other_named_values_are_not(data: xr.Dataset) -> None:
    found = {finding.stated: finding.agrees for finding in judge(data)[1].findings}
    assert found["clusters at 0.5 (digon)"]
    assert not found["clusters at 0.6667 (triangle)"]


def test_a_value_that_no_feature_takes_is_found_wrong(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staircase, "NAMED", {**NAMED, 0.6: "nothing"})
    monkeypatch.setattr(staircase, "STICKY", (0.9,))
    sticky, cluster = judge(data)
    assert all(not finding.agrees for finding in sticky.findings)
    assert {finding.stated: finding.agrees for finding in cluster.findings}["clusters at 0.6 (nothing)"] is False


def test_the_picture_has_three_panels(data: xr.Dataset) -> None:
    assert len(draw(data).axes) == 3
