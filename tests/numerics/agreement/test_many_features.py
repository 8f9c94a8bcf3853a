"""The table of what is predicted, packed, descended and trained."""

from pathlib import Path

import numpy as np
import pytest

from numerics.agreement import many_features
from numerics.agreement.many_features import ManyFeatures, main, many_features_page, many_features_row
from theory import load_result

pytestmark = pytest.mark.slow
SMALL = (ManyFeatures(12, 3, 0.05), ManyFeatures(12, 3, 0.4, 1.0))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, at_full_speed: None) -> None:
    monkeypatch.setattr(many_features, "CASES", SMALL)
    monkeypatch.setattr(many_features, "_RECIPE", {**many_features._RECIPE, "steps": 400})
    monkeypatch.setattr(many_features, "_MODELS", 2)


def test_the_best_known_is_the_best_of_all_and_above_the_estimate() -> None:
    row = many_features_row(SMALL[0])
    assert row["code"] <= row["product"]
    assert row["best"] == min(row["best"], row["code"], row["learned"])
    assert row["predicted"] <= float(row["best"]) * (1 + 1e-8)


def test_products_are_not_asked_of_a_power_law() -> None:
    row = many_features_row(SMALL[1])
    assert np.isnan(float(row["product"]))
    assert 0 < float(row["best"]) <= float(row["learned"])
    np.testing.assert_allclose(SMALL[1].problem.density[[0, 3]], [0.4, 0.1])


def test_a_stopped_command_goes_on_and_the_page_has_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[ManyFeatures] = []

    def interrupted(case: ManyFeatures, seed: int) -> dict[str, float | str]:
        done.append(case)
        if len(done) == 2:
            raise KeyboardInterrupt
        values = dict.fromkeys(("predicted", "stored", "product", "code", "best", "learned"), 1.0)
        return {**values, "product_name": "", "code_name": "", "best_name": "digon"}

    monkeypatch.setattr(many_features, "many_features_row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["--output", str(tmp_path)])
    assert "1 of 2 rows" in (tmp_path / "many_features.md").read_text("utf-8")
    main(["--output", str(tmp_path)])
    assert done == [SMALL[0], SMALL[1], SMALL[1]]
    page = many_features_page(load_result(tmp_path / "many_features.nc"), 2)
    assert (tmp_path / "many_features.md").read_text("utf-8") == page
    assert "| 12, 3 | 0.4 / i^1 | 1.0000 " in page
