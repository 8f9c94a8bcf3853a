"""The table of products, codes and even frames."""

import pytest

from theory.packing.even_table import even_table, main


@pytest.mark.slow
def test_codes_win_where_they_should_and_no_product_beats_the_estimate() -> None:
    """16 features in 5 dimensions at p = 0.02: the half 5-cube, which the relaxed frame attains."""
    row = even_table(16, 5, 0.02).isel(density=0)
    assert row["with_codes"].item() == "half 5-cube"
    assert float(row["with_codes_loss"]) < 0.9 * float(row["product_loss"])
    assert float(row["frame_loss"]) <= float(row["with_codes_loss"]) * (1 + 1e-6)
    assert int(row["stored"]) == 16


@pytest.mark.slow
def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--n", "8", "--m", "2", "--density", "0.2"])
    assert "even frame: an estimate from below" in capsys.readouterr().out
