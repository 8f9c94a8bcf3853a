"""The table of best known losses: what it keeps, that it goes on, and what is in it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from theory import population_loss
from theory.search import best_known as module
from theory.search.best_known import CASES, Case, best_known, main
from theory.tools.storage import load_result

FOLDER = Path(__file__).parents[3] / "docs" / "best_known"
SMALL = (Case(3, 1, 0.8, 0.1), Case(2, 1, 1.0, 0.1))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CASES", SMALL)


def test_seven_densities_of_20_and_80_features_and_ten_of_400_are_asked_for() -> None:
    assert [sum(case.n == n for case in CASES) for n in (20, 80, 400)] == [7, 7, 10]
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.usefixtures("small")
def test_a_solution_is_kept_with_its_parameters_and_has_its_loss(tmp_path: Path) -> None:
    main(["--output", str(tmp_path)])
    for case in SMALL:
        found = load_result(tmp_path / case.name)
        loss = population_loss(found["W"].values, found["b"].values, case.problem)
        assert float(found["loss"]) == pytest.approx(loss, rel=1e-7)
        assert (found.attrs["n"], found.attrs["density"], found.attrs["seed"]) == (case.n, case.density, 0)
    assert "2 of 2 problems" in (tmp_path / "best_known.md").read_text()


@pytest.mark.usefixtures("small")
def test_a_stopped_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["--n", "2", "--output", str(tmp_path)])
    assert "1 of 2 problems" in (tmp_path / "best_known.md").read_text()
    searched = []

    def watched(case: Case, *more: Any) -> xr.Dataset:
        searched.append(case)
        return best_known(case, *more)

    monkeypatch.setattr(module, "best_known", watched)
    main(["--output", str(tmp_path)])
    assert searched == [SMALL[0]]
    main(["--output", str(tmp_path)])
    assert searched == [SMALL[0]]


@pytest.mark.usefixtures("small")
def test_another_seed_keeps_the_lower_loss(tmp_path: Path) -> None:
    main(["--output", str(tmp_path)])
    file = tmp_path / SMALL[0].name
    before = load_result(file)
    worse = best_known(SMALL[0], 1, known=before.assign(loss=before["loss"] * 1.01))
    assert float(worse["loss"]) == pytest.approx(float(before["loss"]), rel=1e-9)
    better = best_known(SMALL[0], 1, known=before.assign(loss=before["loss"] * 0.99))
    assert float(better["loss"]) == pytest.approx(0.99 * float(before["loss"]))
    assert (better.attrs["seed"], list(better.attrs["seeds"])) == (0, [0, 1])


def test_a_size_without_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no such problem; sizes and densities are n = 20: 0\.001, "):
        main(["--n", "7", "--output", str(tmp_path)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_solution_that_is_kept_has_its_loss_and_a_row_on_the_page(case: Case) -> None:
    found = load_result(FOLDER / case.name)
    loss = population_loss(found["W"].values, found["b"].values, case.problem, rtol=1e-6)
    assert float(found["loss"]) == pytest.approx(loss, rel=1e-6)
    row = f"| {case.n} | {case.m} | {case.ratio:g} | {case.density:g} | {float(found['loss']):.8g} |"
    assert row in (FOLDER / "best_known.md").read_text()
    first_features_alone = np.sum((case.problem.importance * case.problem.features.variance)[case.m :])
    assert loss < first_features_alone * (1 + 1e-6)


def test_the_page_has_a_row_for_every_problem() -> None:
    rows = re.findall(r"^\| \d+ \|", (FOLDER / "best_known.md").read_text(), re.MULTILINE)
    assert len(rows) == len(CASES)
