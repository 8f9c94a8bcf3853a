"""Which features share a factor, against every relabelling that leaves the problem's probabilities alone."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import theory
from tests.strategies import seeds
from theory.geometry.grouping import grouping_text, same_grouping
from theory.loss.lattice import active_patterns
from theory.model.set_names import set_law_of_name

# By size. Under the table two members come together and the third alone, all of the same density.
LAWS = {
    1: ("all-or-none",),
    2: ("all-or-none", "exactly-one", "partial:0.7", "hierarchy:0.5"),
    3: ("exactly-one", "hierarchy:0.5", "table:110@0.5,001@0.5"),
}


def product(groups: list[list[int]], n: int) -> np.ndarray:
    """Simplices of one to three features, each in dimensions of its own; features in no group are left out."""
    angles = {1: [0.0], 2: [0.0, np.pi], 3: [0.0, 2 * np.pi / 3, 4 * np.pi / 3]}
    W = np.zeros((2 * len(groups), n))
    for k, group in enumerate(groups):
        W[2 * k, group], W[2 * k + 1, group] = np.cos(angles[len(group)]), np.sin(angles[len(group)])
    return W


def random_groups(n: int, rng: np.random.Generator) -> list[list[int]]:
    order, groups = rng.permutation(n).tolist(), []
    while order:
        size = int(rng.integers(1, 4))
        groups.append(order[:size])
        order = order[size:]
    return groups[: max(1, len(groups) - int(rng.integers(0, 2)))]


def symmetries(problem: theory.Problem) -> list[np.ndarray]:
    """Every relabelling that changes neither importances nor the probability of any set of active features."""
    patterns = active_patterns(problem.n)
    powers = 2 ** np.arange(problem.n)
    probability = np.empty(2**problem.n)
    probability[patterns @ powers] = problem.features.pattern_probability(patterns)
    return [
        s
        for s in map(np.array, permutations(range(problem.n)))
        if np.array_equal(problem.importance[s], problem.importance)
        and np.allclose(probability[patterns[:, s] @ powers], probability[patterns @ powers], rtol=1e-12, atol=0)
    ]


@st.composite
def problems(draw: st.DrawFn) -> theory.Problem:
    """Sets of one to three features in any order, whose most frequent members have one of two densities."""
    sizes = draw(st.sampled_from([(2, 2), (2, 2, 1), (3, 2), (2, 1, 1, 1), (1, 1, 1, 1, 1), (3, 1, 1), (3, 3)]))
    n = sum(sizes)
    order = draw(st.permutations(range(n)))
    sets = [[order.pop() for _ in range(size)] for size in sizes]
    own = [set_law_of_name(draw(st.sampled_from(LAWS[size])), size) for size in sizes]
    density = [
        law.set_density(np.array(draw(st.sampled_from([0.2, 0.2, 0.3]))), size)
        for size, law in zip(sizes, own, strict=True)
    ]
    importance = [draw(st.sampled_from([1.0, 1.0, 0.5])) for _ in range(n)]
    return theory.Problem(m=2, features=theory.FeatureDistribution(sets, density, own), importance=importance)


@settings(deadline=None)
@given(problems(), seeds)
def test_two_groupings_are_the_same_if_a_relabelling_of_the_problem_makes_them_so(
    problem: theory.Problem, seed: int
) -> None:
    rng, n = np.random.default_rng(seed), problem.n
    own = symmetries(problem)
    groups = random_groups(n, rng)
    one = theory.recognise(product(groups, n))
    relabelled = own[rng.integers(len(own))]
    assert same_grouping(problem, one, theory.recognise(product([relabelled[g].tolist() for g in groups], n)))
    shuffled = rng.permutation(n)
    other = theory.recognise(product([shuffled[g].tolist() for g in groups], n))
    factors = {(f.name, frozenset(f.features)) for f in other.factors}
    expected = any({(f.name, frozenset(s[list(f.features)].tolist())) for f in one.factors} == factors for s in own)
    assert same_grouping(problem, one, other) == expected == same_grouping(problem, other, one)


def test_another_pairing_is_another_arrangement() -> None:
    together, across, mirrored = (
        theory.recognise(product(pairs, 4)) for pairs in ([[0, 1], [2, 3]], [[0, 2], [1, 3]], [[0, 3], [1, 2]])
    )
    pairs = theory.Problem(m=2, features=theory.FeatureDistribution([[0, 1], [2, 3]], 0.2, "partial:0.7"))
    assert same_grouping(pairs, across, mirrored)
    assert not same_grouping(pairs, together, across)
    unequal = theory.Problem(n=4, m=2, density=0.1, importance=0.7 ** np.arange(4))
    assert not same_grouping(unequal, across, mirrored)
    assert same_grouping(theory.Problem(n=4, m=2, density=0.1), together, across)
    assert grouping_text(across) == "0-2, 1-3"


def test_a_set_of_another_law_is_no_substitute() -> None:
    """Features of the same density, two that come together and two that exclude each other, one pair of them stored."""
    features = theory.FeatureDistribution([[0, 1], [2, 3]], [0.2, 0.4], ["all-or-none", "exactly-one"])
    assert np.ptp(features.feature_density) == 0
    first, second, mixed, swapped = (theory.recognise(product([pair], 4)) for pair in ([0, 1], [2, 3], [0, 2], [1, 3]))
    problem = theory.Problem(m=2, features=features)
    assert not same_grouping(problem, first, second)
    assert same_grouping(problem, mixed, swapped)


@pytest.mark.parametrize("pairs", [10, 40])
def test_many_sets_are_compared_part_by_part(pairs: int) -> None:
    """All pairs but two share a factor: trying one image after another for every pair would not end."""
    sets = [[2 * k, 2 * k + 1] for k in range(pairs)]
    problem = theory.Problem(m=2, features=theory.FeatureDistribution(sets, 0.1, "partial:0.5"))
    crossed = [[0, 2], [1, 3], *sets[2:]]
    last = [*sets[:-2], [2 * pairs - 4, 2 * pairs - 1], [2 * pairs - 3, 2 * pairs - 2]]
    one, other, plain = (theory.recognise(product(groups, 2 * pairs)) for groups in (crossed, last, sets))
    assert same_grouping(problem, one, other)
    assert not same_grouping(problem, one, plain)
    assert grouping_text(one) == ""
