"""Crossings: against bisection of independently optimised losses, with their order and metastable interval."""

import csv

import numpy as np
import pytest
from scipy.optimize import brentq

from theory import Problem, crossover, crossover_between, follow, follow_both_ways, optimise
from theory.phase_diagram.instability import instability_threshold
from theory.transitions.__main__ import main
from theory.transitions.crossing_page import markdown, write_table
from theory.transitions.crossing_table import uniform_crossings

PAIR = Problem(n=2, m=1, density=0.18, importance=[1.0, 0.1])


def test_crossing_is_where_independently_optimised_losses_are_equal() -> None:
    digon, apart = (
        follow_both_ways(PAIR, optimise(PAIR, name), "density", 0.175, 0.195, 0.18, points=3)
        for name in ("digon", "dedicated")
    )
    (crossing,) = crossover(digon, apart)

    def gap(p: float) -> float:
        problem = PAIR.with_density(p)
        return optimise(problem, "digon").loss - 0.1 * (p / 3 - p**2 / 4)  # not represented, in closed form

    expected = brentq(gap, 0.17, 0.185, xtol=1e-12)
    assert crossing.value == pytest.approx(expected, abs=1e-8)
    assert abs(crossing.value - expected) < 1e-10 + 10 * crossing.error
    assert (crossing.order, crossing.below, crossing.above) == ("first", "digon", "dedicated + unrepresented")
    assert crossing.loss == pytest.approx(0.1 * (expected / 3 - expected**2 / 4), rel=1e-8)
    h = 1e-4
    assert -crossing.slope_jump == pytest.approx((gap(expected + h) - gap(expected - h)) / (2 * h), rel=1e-3)
    assert crossing.metastable == (pytest.approx(0.175), pytest.approx(0.1892351148580233, rel=1e-8))
    assert crossing.ends == ("reached", "fold")


def test_metastable_feature_goes_down_to_its_closed_form_spinodal() -> None:
    problem = Problem(n=2, m=1, density=0.12, importance=[1.0, 0.1])
    branch = follow(problem, optimise(problem, "dedicated"), "density", stop=0.08, points=3)
    assert branch.end == "spinodal"
    assert instability_threshold(branch.values[-1]) == pytest.approx(0.1, rel=1e-6)


def test_dense_features_exchange_the_lead_continuously() -> None:
    # Above p = 0.53 the overlap grows out of "not represented": neither side of the transition is metastable.
    p = 0.7
    problem = Problem(n=2, m=1, density=p)
    threshold = float(instability_threshold(p))
    apart = follow(
        problem, optimise(problem, "dedicated"), "relative importance", 0.99 * threshold, 1.02 * threshold, 1, 3
    )
    beyond = apart.path.at(1.005 * threshold)
    from theory import global_optimum

    overlapping = global_optimum(beyond, starts=4)
    grown = follow(problem, overlapping, "relative importance", 1.005 * threshold, 0.99 * threshold, 1, 8)
    (crossing,) = crossover(apart, grown)
    assert crossing.order == "continuous"
    assert crossing.value == pytest.approx(threshold, rel=1e-5)


def test_branches_of_different_problems_are_refused() -> None:
    one = follow(PAIR, optimise(PAIR, "digon"), "density", stop=0.17, points=2)
    other_problem = Problem(n=2, m=1, density=0.18)
    two = follow(other_problem, optimise(other_problem, "digon"), "density", stop=0.17, points=2)
    with pytest.raises(ValueError, match="must belong to one problem"):
        crossover(one, two)


@pytest.mark.slow
def test_pentagon_and_digons_cross_when_one_feature_is_nearly_four_times_sparser() -> None:
    crossings = crossover_between(Problem(n=5, m=2, density=0.05), "pentagon", "2 digon", "relative density", 0.1, 10.0)
    assert len(crossings) == 1
    crossing = crossings[0]
    assert crossing.value == pytest.approx(0.2690811529702, abs=1e-10)
    assert (crossing.below, crossing.above) == ("2 digon + unrepresented", "pentagon")
    assert crossing.metastable == (pytest.approx(0.12415046806, abs=1e-8), 10.0)
    assert crossing.ends == ("fold", "reached")

    def gap(r: float) -> float:
        problem = Problem(n=5, m=2, density=0.05 * np.array([r, 1, 1, 1, 1]))
        return optimise(problem, "pentagon").loss - optimise(problem, "2 digon").loss

    assert brentq(gap, 0.25, 0.3, xtol=1e-10) == pytest.approx(crossing.value, abs=1e-8)


def test_uniform_crossings_are_where_products_have_equal_losses() -> None:
    crossings = uniform_crossings(3, 2, densities=np.geomspace(0.4, 0.7, 4))
    first = crossings[0]
    assert (first.rank, first.below, first.above) == (1, "digon + dedicated", "triangle")
    below, above = (
        optimise(Problem(n=3, m=2, density=first.density), name).loss for name in (first.below, first.above)
    )
    assert below == pytest.approx(above, rel=1e-11)
    assert first.loss == pytest.approx(above, rel=1e-11)
    assert 0 < first.error < 1e-8
    assert first.slope_jump < 0
    assert first.upper_spinodal > first.density
    page = markdown(crossings, "a command")
    assert "| 3 | 2 | digon + dedicated | triangle | 0.52183765" in page
    listed = page[page.index("## All crossings") :]
    assert listed.count("| 0.52183765") == 1
    assert "| digon + dedicated | triangle | 0.52183765" in listed


def test_every_crossing_is_listed_once_without_the_factors_that_both_sides_share() -> None:
    crossings = [
        c for n in (4, 5) for c in uniform_crossings(n, 2, metastable=False, densities=np.geomspace(0.5, 0.8, 4))
    ]
    page = markdown(crossings, "a command")
    listed = page[page.index("## All crossings") :]
    assert sum("0.64424036" in line for line in page.splitlines()) > 2
    assert [line for line in listed.splitlines() if "0.64424036" in line] == [
        line for line in listed.splitlines() if line.startswith("| 2 digon | triangle + unrepresented |")
    ]


def test_table_is_written_in_three_formats(tmp_path) -> None:
    import xarray as xr

    crossings = uniform_crossings(3, 2, metastable=False, densities=np.geomspace(0.4, 0.7, 4))
    page, table, numbers = write_table(crossings, tmp_path / "new", "a command")
    assert "Written by `a command`" in page.read_text(encoding="utf-8")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["density"]) == crossings[0].density
    with xr.open_dataset(numbers, engine="scipy") as data:
        assert float(data.density[0]) == crossings[0].density
        assert str(data.below.values[0]) == crossings[0].below or data.below.values[0] == crossings[0].below.encode()


@pytest.mark.parametrize("arguments", [["--n-max", "12"], ["--m-max", "7"]])
def test_sizes_out_of_range_are_refused(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        main(arguments)
