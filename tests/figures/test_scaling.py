"""Scaling laws: found and predicted losses, exponents, overlaps."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures.scaling import Series, compute, draw, judge, series

pytestmark = [pytest.mark.usefixtures("at_full_speed"), pytest.mark.slow]


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def _law(data: xr.Dataset, alpha: float, predicted: bool) -> Series:
    (found,) = (one for one in series(data) if (one.alpha, one.predicted) == (alpha, predicted))
    return found


def test_found_losses_lie_above_the_prediction(data: xr.Dataset) -> None:
    """An estimate from below, too low by up to a third where all features are stored (docs/scaling.md)."""
    found, predicted = (_law(data, -1, predicted).rows["loss"].values for predicted in (False, True))
    assert (predicted < found).all()
    assert (found < 1.34 * predicted).all()


def test_storing_more_than_one_feature_a_dimension_pays_everywhere(data: xr.Dataset) -> None:
    assert (data["loss"] < data["tail"]).all()
    assert (data["stored"] > data["m"]).all()


def test_features_overlap_as_those_that_share_evenly(data: xr.Dataset) -> None:
    rows = _law(data, -1, False).rows
    k, m = rows["stored"].values, rows["m"].values
    assert_allclose(rows["overlap"], (k - m) / (m * (k - 1)), rtol=0.02)


def test_the_picture_tells_the_exponents(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 4
    exponent, error = _law(data, -1, True).exponent or (np.nan, np.nan)
    told = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]
    assert f"n = 60, equal, predicted: {exponent:.2f} ± {error:.2f}" in told
    steepest = max(_law(data, -1, predicted).local[1].max() for predicted in (False, True))
    assert f"to minus {steepest:.1f}" in figure.get_suptitle()
    assert judge(data) == []
