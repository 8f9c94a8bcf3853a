"""The global optimum beside the best product of named polytopes."""

from pathlib import Path

import pytest
import xarray as xr

from theory.search.product_table import compare_products, main

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def table(at_full_speed: None) -> xr.Dataset:
    return compare_products(3, 2, densities=(0.01, 0.3))


def test_the_global_optimum_is_never_above_the_product(table: xr.Dataset) -> None:
    assert (table["gain"] > -1e-9).all()


def test_three_features_on_a_line_beat_the_digon_when_sparse(table: xr.Dataset) -> None:
    """In one dimension a third feature squeezes in beside the digon, which no product can do."""
    line = table.where((table["n"] == 3) & (table["m"] == 1) & (table["density"] == 0.01), drop=True)
    assert line["product"].item() == "digon + unrepresented"
    assert line["optimum"].item() == "3 in 1"
    assert 0.03 < line["gain"].item() < 0.06


def test_digon_and_dedicated_feature_are_the_optimum_of_three_in_two(table: xr.Dataset) -> None:
    plane = table.where((table["n"] == 3) & (table["m"] == 2), drop=True)
    assert set(plane["product"].values.tolist()) == {"digon + dedicated"}
    assert (abs(plane["gain"]) < 1e-7).all()


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--n-max", "2", "--m-max", "1", "--workers", "1", "--output", str(tmp_path)])
    assert "products.md" in capsys.readouterr().out
    page = (tmp_path / "products.md").read_text(encoding="utf-8")
    assert "8 cases compared" in page
    assert "python -m theory.search.product_table --n-max 2 --m-max 1 --seed 0" in page


def test_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="2 <= n_max <= 12"):
        compare_products(13, 3)
    with pytest.raises(ValueError, match="density must lie in"):
        compare_products(3, 1, densities=(0.0,))
