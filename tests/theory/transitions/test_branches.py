"""Branches: slopes, spinodals, folds, broken symmetry, and no leaps from one branch to another."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory import Problem, follow, follow_both_ways, optimise, population_loss
from theory.geometry.symmetries import generators
from theory.optimum.local_minima import refine
from theory.phase_diagram.instability import instability_threshold
from theory.transitions.paths import ProblemPath
from theory.transitions.points import correct
from theory.transitions.spinodals import breaks_symmetry

PAIR = Problem(n=2, m=1, density=0.1, importance=[1.0, 0.5])


@settings(max_examples=6)
@given(
    st.floats(0.02, 0.15), st.floats(0.3, 1.0), st.sampled_from(["density", "relative density", "relative importance"])
)
def test_slope_at_fixed_parameters_is_the_slope_of_the_optimum(p: float, r: float, parameter: str) -> None:
    problem = Problem(n=2, m=1, density=p, importance=[1.0, r])
    path = ProblemPath(problem, parameter, 1)
    h = 1e-4 * path.current
    losses = [optimise(path.at(path.current + k * h), "digon", order=[0, 1]).loss for k in (-1, 1)]
    here = correct(path, path.current, (start := optimise(problem, "digon", order=[0, 1])).W, start.b)
    # The error of the central difference is h^2 times a third derivative, of the order of the slope / p^2.
    assert here.slope == pytest.approx((losses[1] - losses[0]) / (2 * h), rel=1e-5)


def test_branch_follows_the_independently_optimised_loss() -> None:
    branch = follow(PAIR, optimise(PAIR, "digon"), "density", start=0.1, stop=0.02, points=5)
    assert branch.end == "reached"
    assert branch.values[-1] == 0.02
    for value, loss in zip(branch.values, branch.loss, strict=True):
        assert loss == pytest.approx(optimise(PAIR.with_density(value), "digon").loss, rel=1e-9)
    assert (branch.smallest_eigenvalue > 0).all()
    middle = branch.at(0.05)
    assert middle.loss == pytest.approx(population_loss(middle.W, middle.b, PAIR.with_density(0.05)), rel=1e-12)
    assert branch.dataset().loss.dims == ("density",)


@pytest.mark.parametrize("p", [0.2, 0.585725])
def test_an_unrepresented_feature_ends_at_the_closed_form_spinodal(p: float) -> None:
    problem = Problem(n=2, m=1, density=p)
    expected = instability_threshold(p)
    start = 0.97 * expected
    branch = follow(problem, optimise(problem, "dedicated"), "relative importance", start, 1.05 * expected, 1, points=3)
    assert branch.end == "spinodal"
    assert branch.values[-1] == pytest.approx(expected, rel=1e-6)


def test_an_antipodal_pair_ends_at_a_fold() -> None:
    problem = Problem(n=2, m=1, density=0.18, importance=[1.0, 0.1])
    branch = follow(problem, optimise(problem, "digon"), "density", stop=0.25, points=4)
    assert branch.end == "fold"
    fold = float(branch.values[-1])
    # Just before the fold descent stays, just beyond it falls to another solution.
    before, beyond = (_descended(problem.with_density(fold * (1 + s)), branch) for s in (-1e-4, 1e-4))
    assert before < 0.1 < beyond
    # The smallest eigenvalue vanishes like the root of the distance: its square is linear.
    inside = [branch.at(fold * (1 - s)).curvature ** 2 for s in (1e-4, 2e-4)]
    assert inside[1] / inside[0] == pytest.approx(2, rel=0.05)


def _descended(problem: Problem, branch) -> float:
    """How far descent leads from the last solution of a branch, in the coupling of the pair."""
    batch = Problem(m=1, features=problem.features, importance=problem.importance[None])
    found = refine(batch, branch.W[-1:], branch.b[-1:], tolerance=1e-9, iterations=1000)
    return abs(float((found.W[0, 0].prod()) - branch.W[-1][0].prod()))


def test_a_digon_breaks_its_symmetry_and_the_symmetric_solution_goes_on_as_a_saddle() -> None:
    problem = Problem(n=2, m=1, density=0.6)
    digon = optimise(problem, "digon")
    branch = follow(problem, digon, "density", stop=0.8, points=5)
    assert branch.end == "symmetry breaking"
    on = follow(problem, digon, "density", stop=0.8, points=5, unstable=True)
    assert on.end == "reached"
    assert on.bifurcations[0] == pytest.approx(branch.values[-1], rel=1e-7)
    assert on.smallest_eigenvalue[-1] < 0
    # It has not leapt to a solution with less symmetry, although these are better.
    assert on.b[-1][0] == pytest.approx(on.b[-1][1], abs=1e-9)
    assert on.loss[-1] == pytest.approx(optimise(problem.with_density(0.8), "digon").loss, rel=1e-9)


def test_both_ways_join_at_the_start() -> None:
    branch = follow_both_ways(PAIR, optimise(PAIR, "digon"), "density", 0.05, 0.2, 0.1, points=6)
    assert (np.diff(branch.values) > 0).all()
    assert (branch.lowest, branch.highest) == (0.05, 0.2)
    assert 0.1 in branch.values
    assert branch.why(0.05) == "reached"


def test_symmetries_of_two_digons() -> None:
    problem = Problem(n=4, m=2, density=0.1)
    pair = optimise(problem, "2 digon")
    point = correct(ProblemPath(problem, "density"), 0.1, pair.W, pair.b)
    orders = list(generators(pair.W.T @ pair.W, np.stack([pair.b, problem.density, problem.importance])))
    assert len(orders) == 3 + 1  # feature 0 to three others, then one exchange in the other digon
    together = np.concatenate([pair.W.ravel(), np.zeros(4)])
    apart = np.concatenate([np.zeros(8), [1.0, -1.0, 0.0, 0.0]])
    assert not breaks_symmetry(point, together)
    assert breaks_symmetry(point, apart)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stop": 1.5}, "density must be positive, and at most 1"),
        ({"parameter": "relative density", "stop": 11.0}, "at most 10"),
        ({"stop": -0.1}, "must be positive"),
        ({"parameter": "sparsity", "stop": 0.5}, "parameter must be 'density'"),
        ({"index": 2, "stop": 0.5}, "index must be a feature, 0 ... 1"),
        ({}, "give stop"),
        ({"values": [0.1, 0.3, 0.2]}, "rise or fall throughout"),
        ({"stop": 0.2, "points": 1}, "points must be at least 2"),
    ],
)
def test_ranges_outside_the_domain_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        follow(PAIR, optimise(PAIR, "digon"), **arguments)


def test_a_saddle_is_followed_on_request_only() -> None:
    problem = Problem(n=2, m=1, density=0.8)
    digon = optimise(problem, "digon")
    with pytest.raises(ValueError, match="pass unstable=True"):
        follow(problem, digon, "density", stop=0.7)
    assert len(follow(problem, digon, "density", stop=0.78, points=2, unstable=True).values) == 2


@pytest.mark.timing
def test_a_hundred_points_of_the_pentagon_take_under_five_seconds() -> None:
    program = """
import time
from theory import Problem, follow, optimise
problem = Problem(n=5, m=2, density=0.05)
pentagon = optimise(problem, "pentagon")
start = time.process_time()
assert len(follow(problem, pentagon, "relative density", stop=10.0, points=100).values) == 100
print(time.process_time() - start)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 5


def test_values_far_from_one_are_to_be_measured_in_their_unit() -> None:
    problem = Problem(n=2, m=1, density=0.1, values="exponential:1e-8")
    solution = optimise(problem, "digon")
    with pytest.raises(ValueError, match="those of exponential:1e-08 are of the order of 2e-08: measure them"):
        follow(problem, solution, stop=0.2, points=3)
