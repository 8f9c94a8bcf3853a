"""The figure of basins: shares, intervals, and learned models on exact branches."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures import basins
from figures.basins import BASE_DENSITY, compute, draw, judge
from figures.shared.verdicts import PARTLY
from theory import Problem, optimise, optimise_polytope

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_shares_are_complete_and_lie_within_their_intervals(data: xr.Dataset) -> None:
    assert_allclose(data.share.sum("geometry"), 1)
    for p in range(2):
        named = data.isel(problem=p, geometry=data.name.values[p] != "")
        assert (named.low <= named.share + 1e-12).all()
        assert (named.share <= named.high + 1e-12).all()


def test_the_lines_are_the_exact_losses_of_their_geometries(data: xr.Dataset) -> None:
    for row, name, copies, lone in ((0, "pentagon", 1, 0), (1, "3 digon", 3, 0)):
        k = data.name.values[row].tolist().index(name)
        polytope = name.split()[-1]
        lines = data.branch_loss.isel(problem=row, geometry=k, branch_density=lone).values
        expected = copies * optimise_polytope(polytope, float(data.branch_density[lone])).loss
        assert np.nanmin(np.abs(lines / expected - 1)) < 1e-6


def test_no_learned_model_lies_below_the_lowest_branch(data: xr.Dataset) -> None:
    lowest = data.branch_loss.min(["geometry", "variant"]).sel(branch_density=data.density.values, method="nearest")
    learned = data.learned_low.min("geometry")
    # Branches are drawn straight between logarithms: at densities of runs they pass through recorded points nearly.
    assert (learned.values >= lowest.values * (1 - 2e-3)).all()


def test_sparse_features_end_as_pentagon_and_as_three_digons(data: xr.Dataset) -> None:
    for row, name in ((0, "pentagon"), (1, "3 digon")):
        k = data.name.values[row].tolist().index(name)
        assert float(data.share.isel(problem=row, geometry=k, density=0)) > 0.5


def test_claim_11_holds_but_for_what_often_is(data: xr.Dataset) -> None:
    (verdict,) = judge(data.assign_attrs(runs=64))
    assert verdict.claim == 11
    assert verdict.findings[0].choices[0].agrees
    assert [finding.agrees for finding in verdict.findings[1:3]] == [True, True]
    assert judge(data)[0].findings[2].agrees is False, "six runs do not tell"


def test_more_than_every_run_would_not_agree(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basins, "STATED_OFTEN", (1.01,))
    (verdict,) = judge(data.assign_attrs(runs=64))
    assert verdict.outcome.startswith(PARTLY)
    assert [finding.agrees for finding in verdict.findings] == [False, True, True, False, False]


def test_often_is_asked_of_the_median_too(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["apart_not_optimal"][:] = 0
    changed["apart_not_optimal"][0] = 0.6
    often = judge(changed)[0].findings[0]
    assert often.depends, "60 % in one place are not often in the median"
    assert {choice.label.split(",")[0]: choice.agrees for choice in often.choices} == {
        "where most do": True, "in the median": False,
    }  # fmt: skip


def test_trouble_is_more_misses_than_chance_gives(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["apart_not_optimal"][:] = 0.4
    changed.attrs["runs"] = 64
    assert judge(changed)[0].findings[2].agrees is False, "as many where the pentagon is no minimum"


def test_pentagon_and_digons_exchange_the_lead_between_the_relative_densities(data: xr.Dataset) -> None:
    spinodal, crossing = 0.12415, 0.26908115  # figures/loss_crossover.py
    assert np.isnan(data["apart_pentagon"]).values.tolist() == (data["relative"] < spinodal).values.tolist()
    behind = (data["apart_pentagon"] < data["apart_digons"]).values
    assert behind.tolist() == (data["relative"] > crossing).values.tolist()
    problem = Problem(m=2, density=[BASE_DENSITY] * 4 + [BASE_DENSITY * float(data["relative"][0])])
    assert_allclose(optimise(problem, "2 digon").loss, data["apart_digons"][0], rtol=1e-9)


def test_the_picture_has_three_rows_with_legends(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 6
    texts = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert "pentagon" in texts
    assert "" not in texts
