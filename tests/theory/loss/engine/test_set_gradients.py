"""What nodes that are left out may add to gradients where features come in sets: true, and as sharp as without sets."""

import numpy as np
import pytest
from scipy import stats

from theory import FeatureDistribution, Independent, Problem, loss_estimate
from theory.loss.engine.activation import squared_error
from theory.loss.engine.engine import row_errors
from theory.loss.engine.envelope import cells, clipped, decay
from theory.loss.engine.frame import Frame, frame
from theory.loss.engine.moments import moments
from theory.loss.engine.rows import Features, Rows
from theory.loss.engine.tails import _at, _Singles
from theory.loss.lattice import active_patterns
from theory.loss.outputs import output_errors
from theory.model.activations import RELU
from theory.model.set_families import ExactlyK, Hierarchy, PartialCorrelation, PatternTable
from theory.model.set_laws import ALL_OR_NONE, EXACTLY_ONE, SetLaw
from theory.model.values import value_law

PAIRS = [ALL_OR_NONE, EXACTLY_ONE, PartialCorrelation(0.9), Hierarchy((-1, 0), (1.0, 0.6))]
TRIPLES = [
    ALL_OR_NONE,
    EXACTLY_ONE,
    ExactlyK(2),
    PartialCorrelation(0.9),
    Hierarchy((-1, 0, 0), (0.8, 0.6, 0.3)),
    PatternTable.of({"110": 0.5, "011": 0.2, "001": 0.3}),
]


@pytest.mark.parametrize("law", PAIRS, ids=lambda law: law.name)
def test_gradients_from_few_nodes_are_as_wrong_as_stated_at_most(law: SetLaw) -> None:
    """Against exact enumeration: the own feature in the set, in another one, and single."""
    rng = np.random.default_rng(len(law.name))
    closest = 0.0
    for _ in range(8):
        p = 10.0 ** rng.uniform(rng.choice([-4, -1]), 0, 3)
        features = FeatureDistribution([[0, 1], [2, 3], [4]], p, [law, EXACTLY_ONE, ALL_OR_NONE])
        problem = Problem(m=2, features=features)
        G = rng.normal(size=(5, 5)) * 10.0 ** rng.uniform(rng.choice([-3, -0.3]), 0, (5, 5))
        b = rng.choice([0.0, 0.3], 5) * rng.normal(size=5)
        exact = output_errors(G, b, problem)
        rows = Rows(G, b, np.arange(5), np.zeros(5))
        for nodes in (32, 512):
            found = row_errors(rows, Features.of(features), rtol=1e-9, max_nodes=nodes)
            miss = np.maximum(np.abs(found.dG - exact.dG).max(1), np.abs(found.db - exact.db))
            assert (miss <= found.gradient_error + 1e-13).all()
            closest = max(closest, float((miss / (found.gradient_error + 1e-13)).max()))
    assert closest > 0.03  # not far from the truth somewhere


def _sums(f: Frame, share: np.ndarray, t: float) -> np.ndarray:
    """
    |Phi|, |Phi_x|, and over t: derivatives of Phi in another coupling, of Phi_x in the own one and in another one.

    Of every row, summed over patterns, the largest of all other couplings. Closed are those in which no other feature
    moves z than the one a derivative is of; where the own feature moves nothing and is independent, of D those too in
    which exactly one other feature does.
    """
    G, law, n = f.rows.G, f.features.values, f.rows.G.shape[1]
    active, found = active_patterns(n), np.zeros((5, n))
    closes = f.none + f.alone + f.single.sum(1) > 0
    for i in range(n):
        e, e1, e2 = (law.transform(t * G[i], k) for k in range(3))
        weight = share * np.exp(-0.5 * f.rows.noise[i] * t**2)
        moving = active & (G[i] != 0)
        count = moving.sum(1)
        beside = count - moving[:, i]

        def total(of: np.ndarray, open_: np.ndarray, weight: np.ndarray = weight, e: np.ndarray = e, **at: complex):
            """Sum of weight times e_j over open patterns that have the features ``of``, given what stands for them."""
            some = active[:, list(of)].all(1) & open_
            factors = np.where(active, e, 1.0)[some]
            for j, value in zip(of, at.values(), strict=True):
                factors[:, j] = value
            return abs(weight[some] @ factors.prod(1))

        alone = (G[i, i] == 0) & (f.own_set[i] < 0)  # closed with one other feature too
        open_D = (beside > (1 if alone else 0)) | ~closes[i]
        found[0, i] = total((), (count > 1) | ~closes[i])
        found[1, i] = total((i,), open_D, own=e1[i])
        found[3, i] = total((i,), open_D, own=e2[i])
        for j in np.delete(np.arange(n), i):
            if G[i, j] == 0 and f.moments.p[i, j] > 0:  # such features are not summed
                continue
            others = count - moving[:, j]
            found[2, i] = max(found[2, i], total((j,), (others > 0) | ~closes[i], j=e1[j]))
            open_both = (others > 0) | ~(closes[i] & alone)
            found[4, i] = max(found[4, i], total((i, j), open_both, own=e1[i], j=e1[j]))
    return found


@pytest.mark.parametrize("values", ["uniform:0,40", "exponential:40", "constant:40"])
@pytest.mark.parametrize("law", TRIPLES, ids=lambda law: law.name)
def test_every_derivative_is_below_its_bound(law: SetLaw, values: str) -> None:
    """Rare, frequent and permanent features, of which some move nothing, with noise and without."""
    rng, closest = np.random.default_rng(len(law.name)), np.zeros(5)
    for trial in range(30):
        groups = [[0, 1, 2], [3, 4], [5], [6]][: (4, 2, 1)[trial % 3]]
        permanent = rng.uniform(size=len(groups)) < rng.choice([0.0, 0.4])
        p = np.where(permanent, 1.0, 10.0 ** rng.uniform(rng.choice([-3, -0.3]), 0, len(groups)))
        of = FeatureDistribution(groups, p, [law, EXACTLY_ONE, ALL_OR_NONE, ALL_OR_NONE][: len(groups)], values)
        n = groups[-1][-1] + 1
        G = 10.0 ** rng.uniform(-1, 1, (n, n)) * (rng.uniform(size=(n, n)) > rng.choice([0.0, 0.3]))
        t = 2.0 ** rng.integers(-12, -1)  # values are large, so that slopes count
        noise = rng.choice([0.0, 0.0, 0.0, 0.1 / t**2], n)
        features = Features.of(of)
        rows = Rows(G, np.zeros(n), np.arange(n), noise)
        f = frame(rows, features, moments(rows, features), squared_error(RELU), np.zeros((n, 1)))
        cell, nodes = np.full((1, n), cells(np.array([t]))[0]), np.full((1, n), t)
        bounds = np.concatenate(_at(f, decay(features.values), _Singles.of(f), cell, nodes))
        sums = _sums(f, of.pattern_probability(active_patterns(n)), t)
        bounds = bounds[[0, 1, 2, 3, 3]] * (1 + 1e-9) + 1e-13
        assert (sums <= bounds).all()
        assert (sums[1] <= bounds[2]).all()  # the own coupling's derivative of Phi
        closest = np.maximum(closest, (sums / bounds).max(1))
    assert (closest > 0.5).all()  # somewhere within a factor of two, each of them


def test_a_set_costs_gradients_no_accuracy() -> None:
    """The bound for sets did not fall with frequency: errors of lognormal values' gradients were of their own size."""
    W, b = np.random.default_rng(3).normal(size=(2, 4)), 0.1 * np.random.default_rng(4).normal(size=4)
    values = value_law(stats.lognorm(1.0))
    one_of_two = FeatureDistribution([[0, 1], [2], [3]], [0.3] * 3, [EXACTLY_ONE, ALL_OR_NONE, ALL_OR_NONE], values)
    sets, none = (
        loss_estimate(W, b, Problem(m=2, features=f)) for f in (one_of_two, Independent([0.15, 0.15, 0.3, 0.3], values))
    )
    assert 0 < sets.gradient_error < 2 * none.gradient_error < 1e-3


def test_bounds_of_sets_that_are_always_active_fall() -> None:
    """No pattern is quiet, and no feature single: derivatives are products of a slope and the other set's factor."""
    features = Features.of(FeatureDistribution([[0, 1], [2, 3]], [1.0, 1.0], EXACTLY_ONE, "exponential:400"))
    rows = Rows(np.ones((4, 4)), np.zeros(4), np.arange(4), np.zeros(4))
    f = frame(rows, features, moments(rows, features), squared_error(RELU), np.zeros((4, 1)))
    table, t = decay(features.values), np.full((1, 4), 0.1)
    cell = cells(t)
    found = _at(f, table, _Singles.of(f), cell, t)[2]
    np.testing.assert_allclose(found, 0.5 * table.first[clipped(cell)] * table.modulus[clipped(cell)], rtol=1e-12)
