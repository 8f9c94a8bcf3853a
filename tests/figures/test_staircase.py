"""Claims 6 and 7: the predicted staircase, and trained models on it."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures.parts import staircase_findings
from figures.parts.staircase_findings import clusters, even_fall, plateau
from figures.parts.staircase_panels import NAMED
from figures.staircase import compute, draw, judge
from theory import load_result, save_result

pytestmark = pytest.mark.usefixtures("at_full_speed")
# With the data of a quick figure, which take half a minute.
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


# What rounding leaves of an estimate that is the loss itself, as that of digons.
ROUNDING = 1e-8


@slow
def test_the_staircase_descends_from_one_feature_per_dimension(data: xr.Dataset) -> None:
    steps = data["best_average"].values
    assert_allclose(steps[0], 1, atol=0.05)
    assert (np.diff(steps) < 1e-6).all()


@slow
def test_the_estimate_is_below_everything_that_exists(data: xr.Dataset) -> None:
    below, best = data["below_loss"].values, data["best_loss"].values
    assert (below <= best * (1 + ROUNDING)).all()
    assert (below[:, None] <= data["learned_loss"].values * (1 + ROUNDING)).all()
    assert (best <= data["product_loss"].values).all()
    assert (best[2:] < data["product_loss"].values[2:] * 0.99).all()  # frames of all dimensions win


@slow
def test_trained_models_agree_with_digons_where_these_are_best(data: xr.Dataset) -> None:
    row = data.isel(density=1)
    assert row["best"].item() == "4 digon + 32 unrepresented"
    assert 0 <= float(row["learned_loss"].item() / row["best_loss"]) - 1 < 1e-3
    long = row["learned_norm"].values[0] > 0.9
    assert long.sum() == 8
    assert_allclose(row["learned_dimensionality"].values[0][long], 0.5, atol=0.01)
    assert_allclose(row["share"].sel(value=0.5), 1)


@slow
def test_sparse_trained_models_beat_every_product_of_the_named_polytopes(data: xr.Dataset) -> None:
    assert float(data["learned_loss"][-1].min() / data["product_loss"][-1]) < 0.95


@slow
def test_features_of_the_best_arrangement_fill_the_dimensions(data: xr.Dataset) -> None:
    """D_i is defined so that a tight frame's sum to its dimensions, whatever the factors."""
    assert_allclose(data["best_dimensionality"].sum("feature"), data.attrs["m"], rtol=5e-3)


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


@slow
def test_verdicts_survive_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)
    assert [verdict.claim for verdict in judge(data)] == [6, 7]


@slow
def test_claim_7_digons_are_a_cluster_and_other_named_values_are_not(data: xr.Dataset) -> None:
    found = {finding.stated: finding.agrees for finding in judge(data)[1].findings}
    assert found["clusters at 0.5 (digon)"]
    assert not found["clusters at 0.6667 (triangle)"]


@slow
def test_a_value_that_no_feature_takes_is_found_wrong(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staircase_findings, "NAMED", {**NAMED, 0.6: "nothing"})
    monkeypatch.setattr(staircase_findings, "STICKY", (0.9,))
    sticky, cluster = judge(data)
    assert all(not finding.agrees for finding in sticky.findings)
    assert {finding.stated: finding.agrees for finding in cluster.findings}["clusters at 0.6 (nothing)"] is False


@slow
def test_a_model_below_the_estimate_is_told(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 4
    assert "every trained model lies above" in figure.get_suptitle()
    wrong = data.assign(learned_loss=data["learned_loss"] * 0.1)
    assert "every trained model" not in draw(wrong).get_suptitle()
    found = {finding.stated: finding.found for finding in judge(wrong)[1].findings}
    assert "4 of them less" in found["whether trained models lie in or above the predicted band"]
