"""Set laws: probabilities, derivatives and draws of a record against its generating function."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import sympy
from numpy import ndarray
from numpy.testing import assert_allclose

from numerics import sample
from theory import (
    Anticorrelated,
    Correlated,
    FeatureDistribution,
    Independent,
    Problem,
    global_optimum,
    population_loss,
)
from theory.loss.enumeration import active_patterns
from theory.model.set_families import (
    Equicorrelated,
    ExactlyK,
    Hierarchy,
    PartialCorrelation,
    PatternTable,
    partial_parameters,
)
from theory.model.set_laws import ALL_OR_NONE, EXACTLY_ONE, SetLaw
from theory.model.set_names import name_of_sets, sets_of_names
from theory.model.variant import Variant

LAWS = [
    ALL_OR_NONE,
    EXACTLY_ONE,
    PartialCorrelation(0.7),
    PartialCorrelation(1.0),
    Equicorrelated(0.4).at(0.3),
    ExactlyK(1),
    ExactlyK(2),
    ExactlyK(4),
    Hierarchy((-1, 0, 0, 1), (0.9, 0.5, 0.3, 0.8)),
    Hierarchy((-1, -1, 0, 1), (0.9, 0.5, 0.3, 1.0)),
    PatternTable.of({"1100": 0.2, "1010": 0.3, "0001": 0.4, "1111": 0.1}),
    PatternTable.of({"0000": 0.5, "1111": 0.5}),
]
MEMBERS = 4


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_patterns_make_up_the_generating_function(law: SetLaw) -> None:
    rng = np.random.default_rng(0)
    e = rng.normal(size=(5, MEMBERS)) + 1j * rng.normal(size=(5, MEMBERS))
    patterns = active_patterns(MEMBERS)
    chance = law.pattern_probability(patterns)
    assert_allclose(chance.sum(), 1)
    terms = np.where(patterns, e[:, None, :], 1).prod(-1)
    assert_allclose(law.generating(e), terms @ chance, rtol=1e-13)
    listed = sum(q * e[:, active].prod(-1) for active, q in law.patterns(MEMBERS))
    assert_allclose(law.generating(e), listed, rtol=1e-13)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_slopes_and_pairs_are_derivatives_of_it(law: SetLaw) -> None:
    symbols = np.array(sympy.symbols(f"e_:{MEMBERS}"), dtype=object)
    C = sympy.expand(law.generating(symbols).item())
    point = np.array([0.3, -0.2, 1.1, 0.7])
    at = dict(zip(symbols, point, strict=True))
    assert_allclose(law.slopes(point), [float(sympy.diff(C, s).subs(at)) for s in symbols], atol=1e-14)
    ones = dict.fromkeys(symbols, 1)
    pairs = [[float(sympy.diff(C, s, *([] if s is t else [t])).subs(ones)) for t in symbols] for s in symbols]
    assert_allclose(law.pair_activity(MEMBERS), pairs, atol=1e-14)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_draws_have_the_probabilities_of_the_patterns(law: SetLaw) -> None:
    count = 40_000
    uniform = (np.arange(count) + 0.5) / count  # stratified: no chance left
    number = law.activate(uniform, MEMBERS) @ (1 << np.arange(MEMBERS))
    share = np.bincount(number, minlength=2**MEMBERS) / count
    assert_allclose(share, law.pattern_probability(active_patterns(MEMBERS)), atol=2 / count)


def test_partial_correlation_lies_between_independence_and_sets() -> None:
    sets, c = [[0, 1], [2, 3]], 0.3
    loose = FeatureDistribution(sets, 1.0, PartialCorrelation(c))
    free = Independent([c] * 4)
    for name in ("feature_density", "second_moment"):
        assert_allclose(getattr(loose, name), getattr(free, name), rtol=1e-14)
    patterns = active_patterns(4)
    assert_allclose(loose.pattern_probability(patterns), free.pattern_probability(patterns), atol=1e-15)
    tight = FeatureDistribution(sets, 0.2, PartialCorrelation(1.0))
    sets_of_two = Correlated(sets, 0.2)
    assert_allclose(tight.pattern_probability(patterns), sets_of_two.pattern_probability(patterns), atol=1e-15)


def test_the_correlation_of_two_members_is_the_one_asked_for() -> None:
    q, rho = np.array([0.01, 0.2, 0.7, 1.0]), 0.35
    features = Variant(sets=((3, Equicorrelated(rho)),)).features(np.repeat(q[:, None], 4, axis=1))
    assert_allclose(features.feature_density, np.repeat(q[:, None], 4, axis=1), rtol=1e-14)
    pair = features.pair_activity()
    assert_allclose(pair[:, 0, 1] - q**2, rho * q * (1 - q), atol=1e-15)
    assert_allclose(pair[:, 0, 3], q**2, atol=1e-15)
    patterns = active_patterns(4)
    for k, p in enumerate(q):
        single = Variant(sets=((3, Equicorrelated(rho)),)).features(np.full(4, p))
        assert_allclose(features.pattern_probability(patterns)[k], single.pattern_probability(patterns), atol=1e-15)
        assert_allclose(single.pattern_probability(patterns).sum(), 1)


def test_a_batch_of_correlated_sets_is_drawn_as_theory_says() -> None:
    features = Variant(sets=((3, Equicorrelated(0.5)),)).features(np.array([[0.1] * 4, [0.6] * 4]))
    active = sample(features, 200_000, np.random.default_rng(0), np.float32) > 0
    patterns = active_patterns(4)
    share = (active[:, :, None, :] == patterns).all(-1).mean(1)
    chance = features.pattern_probability(patterns)
    assert (np.abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / 200_000) + 1e-12).all()


def test_the_numbers_of_known_sets() -> None:
    digons = np.array([[1.0, 0, -1, 0], [0, 1.0, 0, -1]])
    joined = np.array([[1.0, -1, 0, 0], [0, 0, 1.0, -1]])
    partial = FeatureDistribution([[0, 1], [2, 3]], 0.1, PartialCorrelation(0.7))
    assert_allclose(population_loss(digons, np.zeros(4), Problem(m=2, features=partial)), 0.4 * 0.049 / 6, rtol=1e-13)
    assert population_loss(joined, np.zeros(4), Problem(m=2, features=partial)) > 0.0032667
    one_of_two = FeatureDistribution([[0, 1], [2, 3]], 1.0, EXACTLY_ONE)
    assert global_optimum(Problem(m=2, features=one_of_two), starts=8).loss < 1e-12
    three = FeatureDistribution([[0, 1], [2, 3], [4, 5]], 1.0, EXACTLY_ONE)
    assert_allclose(global_optimum(Problem(m=2, features=three), starts=16).loss, 0.20833333, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0:exactly-one", "sets are written"),
        ("2:exactly-two", "the law of a set is written"),
        ("ax2:exactly-one", "sets are written"),
        ("2:exactly:3", "exactly 3 of 2 members cannot be active"),
        ("2:exactly:1.5", r"whole number >= 1, got '1\.5'"),
        ("2:partial:nan", r"must lie in \(0, 1\]"),
        ("2:correlated:0", r"must lie in \(0, 1\]"),
        ("1:correlated:0.5", "needs a set of two features"),
        ("3:hierarchy:2", r"must lie in \(0, 1\]"),
        ("2:table:11@0.5,10@0.6", "must sum to 1, got 1.1"),
        ("2:table:11@nan,10@0.6", "probabilities >= 0"),
        ("2:table:11@0.5,11@0.5", "listed twice"),
        ("2:table:12@1", "texts of zeros and ones"),
        ("3:table:11@1", "is no law of a set of 3"),
        ("2:table:10@1", "active in no pattern"),
        ("2:partial:x", "must be a number, got 'x'"),
        ("2:partial", "partial needs the probability .* such as partial:0.7"),
        ("3:hierarchy:", "hierarchy needs the probability .* such as hierarchy:0.5"),
    ],
)
def test_bad_sets_are_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refusal:
        sets_of_names([text])
    assert "\n" not in str(refusal.value)


def test_too_high_densities_are_refused_with_the_law_as_it_is_written_and_the_highest() -> None:
    with pytest.raises(
        ValueError, match=r"the law partial:0\.7 are active in at most 0\.7 .* keep densities from 0 to 0\.7"
    ):
        Variant(sets=sets_of_names(["2:partial:0.7"])).check(3, 1.0)


def test_variants_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="--sets take 4 features, but there are n = 3"):
        Variant(sets=sets_of_names(["2x2"])).features(np.full(3, 0.1))
    with pytest.raises(ValueError, match=r"active in at most 0\.5 of all samples"):
        Variant(sets=sets_of_names(["2:exactly-one"])).features(np.full(3, 0.6))
    with pytest.raises(ValueError, match="features of a set have one density"):
        Variant(sets=sets_of_names(["2"])).features(np.array([0.1, 0.2]))


def test_partial_parameters_are_those_of_a_law() -> None:
    for density, correlation in ((0.1, 2.0), (np.nan, 0.2), (0.5, -0.2)):
        with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
            partial_parameters(density, correlation)


def test_laws_may_be_mixed() -> None:
    mixed = FeatureDistribution([[0, 1], [2, 3], [4]], [0.1, 0.2, 0.3], [ALL_OR_NONE, EXACTLY_ONE, ALL_OR_NONE])
    assert_allclose(mixed.feature_density, [0.1, 0.1, 0.1, 0.1, 0.3])
    pair = mixed.pair_activity()
    assert pair[0, 1] == 0.1
    assert pair[2, 3] == 0
    assert_allclose(pair[0, 2], 0.01)


@dataclass(frozen=True)
class _NoLaw(SetLaw):
    """Generates probabilities that do not sum to 1."""

    def generating(self, e: ndarray) -> ndarray:
        return np.asarray(1.1 * e.prod(-1))


@dataclass(frozen=True)
class _Squares(SetLaw):
    """Not multi-affine."""

    def generating(self, e: ndarray) -> ndarray:
        return np.asarray((e**2).mean(-1))


@dataclass(frozen=True)
class _Negative(SetLaw):
    """A pattern has a negative probability."""

    def generating(self, e: ndarray) -> ndarray:
        return np.asarray(1.5 * e.mean(-1) - 0.5 * e.prod(-1))


@dataclass(frozen=True)
class _BareLaw(SetLaw):
    """Nothing but a generating function."""

    def generating(self, e: ndarray) -> ndarray:
        return np.asarray(e.mean(-1))


def test_what_is_not_a_law_is_refused() -> None:
    with pytest.raises(ValueError, match="is not that of a law"):
        FeatureDistribution([[0, 1]], 0.1, _NoLaw())
    with pytest.raises(ValueError, match="is not affine in e_0: a member is active or not"):
        FeatureDistribution([[0, 1]], 0.1, _Squares())
    with pytest.raises(ValueError, match="have probabilities from -0"):
        FeatureDistribution([[0, 1]], 0.1, _Negative())
    with pytest.raises(ValueError, match="patterns can be listed for sets of up to 16 features, not 17"):
        FeatureDistribution([range(17)], 0.1, _BareLaw()).pattern_probability(np.ones((1, 17), bool))


def test_a_subclass_of_a_distribution_is_refused_in_one_sentence() -> None:
    with pytest.raises(TypeError, match="write a SetLaw or a ValueLaw and pass it to FeatureDistribution"):

        class Heavier(Independent):
            @property
            def value_mean(self) -> float:
                return 2.0


@pytest.mark.parametrize(
    "features",
    [Independent([0.1, 0.2]), Correlated([[0, 1]], 0.3), Anticorrelated([[0, 1]], 0.3, "binary")],
    ids=lambda features: features.name,
)
def test_distributions_stay_locked_when_pickled_and_copied(features: FeatureDistribution) -> None:
    assert features.feature_density is not None
    for twin in (pickle.loads(pickle.dumps(features)), copy.deepcopy(features), copy.copy(features)):
        assert (twin.sets, twin.laws, twin.values) == (features.sets, features.laws, features.values)
        for array in (twin.density, twin.feature_density, twin.activity, twin.set_of_feature):
            assert not array.flags.writeable


class _Undecorated(SetLaw):
    """No dataclass: its fields are unknown to equality."""

    def __init__(self, c: float) -> None:
        self.__dict__["c"] = c

    def generating(self, e: ndarray) -> ndarray:
        return np.asarray((1 - self.c + self.c * e).prod(-1))


def test_records_that_are_no_dataclasses_do_not_share_what_is_cached() -> None:
    for c in (0.2, 0.9):
        pairs = FeatureDistribution([[0, 1]], 1.0, _Undecorated(c))
        assert_allclose(pairs.pattern_probability(np.array([[True, True]])), c**2)
    assert _Undecorated(0.2) != _Undecorated(0.2)


def test_distributions_of_every_kind_are_frozen() -> None:
    for features in (Independent([0.1]), Correlated([[0]], 0.1), FeatureDistribution([[0]], 0.1)):
        for name in ("density", "feature_density", "activity"):
            with pytest.raises(FrozenInstanceError):
                setattr(features, name, np.array([0.9]))


@dataclass(frozen=True)
class _Crowding(SetLaw):
    """Members are active independently, more often in dense sets; written for one density at a time."""

    def at(self, density: float) -> SetLaw:
        return PartialCorrelation((1 + density) / 2)

    def generating(self, e: ndarray) -> ndarray:
        return self.at(1.0).generating(e)


@dataclass(frozen=True)
class _Solved(_Crowding):
    """The same, and knows the set of a member's density q: p (1 + p) / 2 = q."""

    def set_density(self, member: ndarray, members: int) -> ndarray:
        return (np.sqrt(1 + 8 * member) - 1) / 2


@pytest.mark.parametrize("law", [_Crowding(), Equicorrelated(0.4)], ids=repr)
@pytest.mark.parametrize("n", [3, 8, 30])
def test_a_batch_has_at_each_density_the_law_of_that_density(n: int, law: SetLaw) -> None:
    sets, density = [[0, 1], *[[j] for j in range(2, n)]], np.array([[0.2], [0.5]])
    laws = [law, *[ALL_OR_NONE] * (n - 2)]
    batch = FeatureDistribution(sets, np.tile(density, n - 1), laws)
    patterns = np.concatenate([np.eye(n, dtype=bool), np.ones((1, n), dtype=bool)])
    W, b = np.random.default_rng(n).normal(size=(2, n)), np.full(n, -0.1)
    losses = population_loss(W, b, Problem(m=2, features=batch))
    drawn = sample(batch, 40_000, np.random.default_rng(0)) > 0
    for k, p in enumerate(density[:, 0]):
        one = FeatureDistribution(sets, p, [law.at(p), *laws[1:]])
        assert_allclose(batch.feature_density[k], one.feature_density, rtol=1e-14)
        assert_allclose(batch.pair_activity()[k], one.pair_activity(), rtol=1e-14)
        assert_allclose(batch.pattern_probability(patterns)[k], one.pattern_probability(patterns), rtol=1e-12)
        assert_allclose(losses[k], population_loss(W, b, Problem(m=2, features=one)), rtol=1e-8)
        q = one.pair_activity()[0, 1]
        assert abs((drawn[k, :, 0] & drawn[k, :, 1]).mean() - q) < 5 * np.sqrt(q * (1 - q) / 40_000)


def test_commands_find_the_sets_density_of_a_law_that_changes_with_it_or_say_what_it_lacks() -> None:
    q = np.array([[0.1] * 3, [0.4] * 3, [1.0] * 3])
    assert_allclose(Variant(sets=((2, _Solved()),)).features(q).feature_density, q, rtol=1e-14)
    with pytest.raises(NotImplementedError, match=r"_Crowding changes with the density .* override set_density"):
        Variant(sets=((2, _Crowding()),)).features(q)


@pytest.mark.parametrize(
    "name",
    [
        "2x2:partial:0.7 3:exactly-one",
        "2:partial:0.123456789012",
        "4:exactly:2",
        "2:correlated:0.5",
        "3:hierarchy:0.5",
        "2:table:11@0.5,10@0.5",
    ],
)
def test_names_of_sets_are_read_back(name: str) -> None:
    sets = sets_of_names(name.split())
    assert name_of_sets(sets) == name
    members, law = sets[0]
    named = FeatureDistribution([range(members)], 0.2, name.split()[0].partition(":")[2])
    assert named.laws == (law,)


def test_laws_of_sets_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="the law of a set is written all-or-none"):
        FeatureDistribution([[0, 1]], 0.2, "parial:0.7")
    with pytest.raises(TypeError, match=r"such as 'partial:0\.7'"):
        FeatureDistribution([[0, 1], [2]], 0.2, ["partial:0.7"])
