"""Where AdamW comes to rest: a sample of ``python -m tests.laws.rest_points``, and what is kept of all of it."""

import csv
from pathlib import Path

import pytest

from tests.laws.rest_points import CASES, measured, predicted

KEPT = Path(__file__).parents[2] / "docs" / "rest_points.csv"


@pytest.mark.slow
def test_decoupled_decay_rests_where_the_second_moment_of_gradients_says() -> None:
    with_decay, without, error = measured(64, 0.01, 0.2, steps=3000, instances=16)
    expected = predicted(64, 0.2)
    assert 4 * error < 0.3 * expected  # precise enough to tell
    assert abs(without - expected) < 4 * error + 0.05 * expected  # the next order in a distance of 0.01
    assert with_decay > 100 * without


def test_what_is_kept_of_all_cases_agrees_with_the_prediction() -> None:
    with KEPT.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(int(r["batch"]), float(r["learning_rate"]), float(r["decay"])) for r in rows] == CASES
    for row in rows:
        without, error, expected = (float(row[k]) for k in ("from_optimum_without", "standard_error", "predicted"))
        assert abs(without - expected) < 4 * error + 0.05 * expected
        assert float(row["from_optimum_with_decay"]) > 100 * without
