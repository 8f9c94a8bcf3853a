"""Cases of scaling laws: what is found, predicted, kept and fitted."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.search import scaling
from theory.search.scaling import ScalingCase, fitted_exponent, scaling_row, scaling_table


def test_densities_of_sum_one_fall_as_they_should() -> None:
    p = ScalingCase(50, 5, 0.5).density
    assert_allclose(p.sum(), 1)
    assert_allclose(p[7] / p[0], 8**-1.5)
    assert_allclose(ScalingCase(50, 5).density, 1 / 50)


def test_an_exponent_is_fitted_with_its_error() -> None:
    m = np.geomspace(10, 1000, 30)
    rng = np.random.default_rng(0)
    exponent, error = fitted_exponent(m.tolist(), (3 * m**-1.3 * np.exp(0.1 * rng.standard_normal(30))).tolist())
    assert abs(exponent - 1.3) < 3 * error
    assert 0.005 < error < 0.03  # 0.1 / (1.4 sqrt(30)) = 0.013
    with pytest.raises(ValueError, match="needs three points, got 2"):
        fitted_exponent([1, 2], [1, 2])


@pytest.mark.slow
def test_a_found_model_beats_the_frequency_tail_and_its_penalty_is_not_counted() -> None:
    plain, penalised = (scaling_row(ScalingCase(20, 4, 0.0, decay)) for decay in (0.0, 0.02))
    assert plain["loss"] < plain["tail"] < plain["zero"]
    assert plain["loss"] < penalised["loss"]
    assert penalised["stored"] <= plain["stored"]
    assert plain["error"] < 1e-3 * plain["loss"]


@pytest.mark.slow
def test_the_tail_is_the_loss_of_a_feature_a_dimension() -> None:
    case = ScalingCase(12, 3, 0.5)
    W, b = np.eye(3, 12), np.where(np.arange(12) < 3, 0.0, case.density)  # E x = p
    loss = theory.population_loss(W, b, theory.Problem(n=12, m=3, density=case.density, values=scaling.VALUES))
    assert_allclose(scaling_row(case)["tail"], loss, rtol=1e-9)


@pytest.mark.slow
def test_rows_are_kept_and_a_stopped_table_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cases = tmp_path / "rows.nc", [ScalingCase(30, 4, predicted=True), ScalingCase(12, 3, 1.0)]
    scaling_table(cases[:1], file=file, bar=False)
    done: list[ScalingCase] = []

    def counted(case: ScalingCase, seed: int) -> dict[str, float]:
        done.append(case)
        return scaling_row(case, seed)

    monkeypatch.setattr(scaling, "scaling_row", counted)
    table = scaling_table(cases, file=file, bar=False)
    assert done == cases[1:]
    assert scaling_table(cases, file=file, bar=False).equals(table)
    assert done == cases[1:]
    scaling_table(cases[:1], seed=1, file=file, bar=False)
    assert done == [*cases[1:], cases[0]]  # other directions are other rows


def test_a_penalised_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="without penalties"):
        scaling_row(ScalingCase(30, 4, decay=0.1, predicted=True))
