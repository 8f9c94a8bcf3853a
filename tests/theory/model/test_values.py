"""Value laws: every member of a record against the others, by numerical integration over its quantiles."""

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import mpmath
import numpy as np
import pytest
import sympy
from numpy import ndarray
from numpy.testing import assert_allclose

from tests.records import Exponential
from theory.model.histogram_values import Histogram
from theory.model.values import BINARY, UNIFORM, Symmetrised, Uniform, ValueLaw, value_law

NAMED = [
    "uniform:0,2.5", "uniform:-1,1", "uniform:0.5,2", "constant:2", "constant:-0.7", "discrete:1@0.25,3@0.75",
    "discrete:-1@0.3,0@0.2,0.5@0.5", "signed:discrete:1@0.25,3@0.75", "exponential", "exponential:0.4", "half-normal",
    "half-normal:2", "normal", "normal:0.3,0.8", "laplace", "laplace:0.2,0.5", "gamma:2.5", "gamma:0.6,2", "beta:2,3",
    "signed:exponential:2", "scipy:weibull_min,1.5", "scipy:weibull_min,1.5,0.3,2", "scipy:skewnorm,3",
    "scipy:triang,0.5", "signed:discrete:0@0.5,1@0.5", "scipy:norm,1,2",
]  # fmt: skip
LAWS = [
    UNIFORM, BINARY, Symmetrised(UNIFORM), Symmetrised(BINARY), Exponential(), Symmetrised(Exponential()),
    *map(value_law, NAMED), Histogram((-1.0, 0.0, 0.5, 2.0, 2.5), (1 / 8, 3 / 8, 0.0, 1 / 2)),
]  # fmt: skip
ARGUMENTS = np.array([-7.3, -0.9, -1e-3, 0.0, 1e-9, 0.04, 0.2, 0.99, 1.01, 3.0, 40.0])
# Gauss-Legendre rules on pieces that shrink towards both ends, where quantiles may have logarithms.
ACCURACY = 1e-9
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
ENDS = np.concatenate([[0.0], 10.0 ** np.arange(-15, -0.9, 0.5), np.linspace(0.125, 0.5, 8)])


def mean(law: ValueLaw, f: Callable[[ndarray], ndarray], *places: float) -> complex:
    """E f(u), integrated over the quantiles; f may jump at the places."""
    weight, u = rule(law, places)
    return complex((weight * f(u)).sum())


@lru_cache(maxsize=64)
def rule(law: ValueLaw, places: tuple[float, ...]) -> tuple[ndarray, ndarray]:
    """Weights, and quantiles at the nodes."""
    atoms = [place for place, _ in law.atoms]
    jumps = [_share_below(law, place) for place in (*places, *atoms, *(np.nextafter(x, -np.inf) for x in atoms))]
    cuts = np.unique(np.concatenate([ENDS, 1 - ENDS[1:], jumps]))
    low, width = cuts[:-1, None], np.diff(cuts)[:, None]
    return width / 2 * WEIGHTS, law.quantile(low + width * (NODES + 1) / 2)


def _share_below(law: ValueLaw, place: float) -> float:
    low, high = 0.0, 1 - 1e-16
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if law.quantile(np.array([middle]))[0] <= place else (low, middle)
    return high


def mismatches(law: ValueLaw) -> Iterator[str]:
    """What a record says that its quantiles do not."""

    def differs(said: ndarray | complex, found: ndarray | complex) -> bool:
        return not np.allclose(said, found, rtol=ACCURACY, atol=ACCURACY)

    for k in range(5):
        if differs(law.moment(k), mean(law, lambda u, k=k: u**k)):
            yield f"moment {k}"
    slow = [a for a in ARGUMENTS.tolist() if abs(a) < 10]
    for order in range(4):
        found = [mean(law, lambda u, a=a, k=order: (1j * u) ** k * np.exp(1j * a * u)) for a in slow]
        if differs(law.transform(np.array(slow), order), np.array(found)):
            yield f"transform of order {order}"
    low, high = law.support
    for x in (-0.7, -0.2, 0.0, 0.3, 0.9, 1.7):
        for k in range(3):
            if differs(law.partial(k, np.array([x]))[0], mean(law, lambda u, x=x, k=k: u**k * (u > x), x)):
                yield f"partial moment {k} beyond {x}"
            beyond = mean(law, lambda u, x=x, k=k: abs(u) ** k * (abs(u) > x), x, -x)
            if x >= 0 and differs(law.tail(k, np.array([x]))[0], beyond):
                yield f"tail {k} beyond {x}"
    for s in (-2.0, -0.3, 0.3):
        bound = float(law.log_mgf(np.array([s]))[0])
        if bound < np.log(mean(law, lambda u, s=s: np.exp(s * u)).real) - ACCURACY:
            yield f"logarithm of the moment generating function at {s}"
    drawn = law.quantile(np.linspace(0, 1 - 1e-9, 1001))
    if drawn.min() < low - 1e-12 or drawn.max() > high + 1e-12 or (np.diff(drawn) < 0).any():
        yield "support"
    if abs(sum(share for _, share in law.atoms) - _share_of_atoms(law)) > 1e-4:
        yield "atoms"
    u = sympy.Symbol("u", real=True)
    try:
        formula = law.expect(u**2, u)
    except ValueError:
        return
    if differs(complex(formula), law.moment(2)):
        yield "density"


def _share_of_atoms(law: ValueLaw) -> float:
    q = np.linspace(0, 1 - 1e-9, 100_001)
    return float((np.diff(law.quantile(q)) == 0).mean()) if law.atoms else 0.0


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-9, 0.0999, 0.1001, 1.999, 2.001, 2 * np.pi, 31.0, 1e4])
def test_uniform_transforms_are_known_to_the_last_digits(size: float) -> None:
    """Against the series in 50 digits; series, quotients and the tangent's poles take turns at these arguments."""
    for a in (size, -size):
        with mpmath.workdps(50 + int(size)):  # the series alternates
            x, terms = mpmath.mpc(0, a), int(3 * size) + 60
            exact = [
                complex(1j**k * mpmath.fsum(x**j / mpmath.factorial(j) / (j + k + 1) for j in range(terms)))
                for k in range(4)
            ] if size < 100 else [complex((mpmath.exp(x) - 1) / x)]  # fmt: skip
        for order in (0, 1, 3):
            found = UNIFORM.transforms(np.array([a]), order)
            for one, other in zip(found, exact, strict=False):
                assert abs(one[0] - other) < 1e-15


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_the_members_of_a_law_agree(law: ValueLaw) -> None:
    assert list(mismatches(law)) == []


@dataclass(frozen=True)
class _Like(ValueLaw):
    """U[0, 1] written anew, one member changed."""

    wrong: str

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, 1.0)

    def moment(self, k: int) -> float:
        return 0.34 if self.wrong == "moment" and k == 2 else UNIFORM.moment(k)

    def transform(self, a: ndarray, order: int = 0) -> ndarray:
        return (1.001 if self.wrong == "slope" and order else 1.0) * UNIFORM.transform(a, order)

    def partial(self, k: int, x: ndarray) -> ndarray:
        return (1.001 if self.wrong == "partial" else 1.0) * UNIFORM.partial(k, x)

    def quantile(self, q: ndarray) -> ndarray:
        return q**1.01 if self.wrong == "quantile" else q


def test_a_law_written_anew_is_right() -> None:
    assert list(mismatches(_Like("nothing"))) == []


@pytest.mark.parametrize("law", [_Like(member) for member in ("moment", "slope", "partial", "quantile")], ids=repr)
def test_a_perturbed_member_is_noticed(law: ValueLaw) -> None:
    assert list(mismatches(law))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_transforms_together_are_those_one_by_one(law: ValueLaw) -> None:
    for k, together in enumerate(law.transforms(ARGUMENTS, 3)):
        assert_allclose(together, law.transform(ARGUMENTS, k), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize(("c", "b"), [(0.9, -0.2), (-0.6, 0.3), (0.7, 0.1), (-0.4, -0.1), (0.0, 0.2), (1.0, 0.0)])
def test_one_active_feature_errs_as_integration_says(law: ValueLaw, c: float, b: float) -> None:
    coupling, bias = np.array([c]), np.array([b])
    places = [-b / c] if c else []
    for form, own in ((law.interference, 0), (law.own_error, 1)):
        expected = mean(law, lambda u, own=own: (own * u - np.maximum(c * u + b, 0)) ** 2, *places).real
        assert_allclose(form(coupling, bias)[0], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("law", [UNIFORM, Exponential(), Symmetrised(UNIFORM)], ids=lambda law: law.name)
@pytest.mark.parametrize(("c", "b"), [(0.9, -0.2), (-0.6, 0.3), (0.7, 0.1)])
def test_its_derivatives_are_those_of_the_errors(law: ValueLaw, c: float, b: float) -> None:
    h = 1e-6
    for form in (law.interference, law.own_error):
        _, dc, db = form(np.array([c]), np.array([b]))
        for step, slope in (((h, 0.0), dc), ((0.0, h), db)):
            up = form(np.array([c + step[0]]), np.array([b + step[1]]))[0]
            down = form(np.array([c - step[0]]), np.array([b - step[1]]))[0]
            assert_allclose((up - down) / (2 * h), slope, rtol=1e-6, atol=1e-8)


def test_the_general_formulas_reproduce_the_special_ones() -> None:
    rng = np.random.default_rng(0)
    c, b = rng.normal(size=200), rng.normal(size=200)
    for special in (UNIFORM, BINARY):
        for name in ("interference", "own_error"):
            general = getattr(ValueLaw, name)(special, c, b)
            for one, two in zip(general, getattr(special, name)(c, b), strict=True):
                assert_allclose(one, two, atol=1e-14)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_records_can_be_pickled_copied_and_compared(law: ValueLaw) -> None:
    assert pickle.loads(pickle.dumps(law)) == law
    assert copy.deepcopy(law) == law
    assert len({law, pickle.loads(pickle.dumps(law))}) == 1


@pytest.mark.usefixtures("without_type_checks")
def test_unknown_laws_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^values must be uniform\[.*; got 'normals'$"):
        value_law("normals")
    with pytest.raises(TypeError, match="values must be the name of a law, a ValueLaw or"):
        value_law(3)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("uniform:1,1", "need LOW < HIGH"),
        ("uniform:1,2,3", "take 0 to 2 parameters"),
        ("gamma", "take 1 to 2 parameters"),
        ("gamma:-1", "must be a finite number > 0"),
        ("normal:nan", "must be a finite number"),
        ("normal:x", "must be a number, got 'x'"),
        ("constant:0", "must not be 0"),
        ("discrete:1@0.5,2@0.6", "sum to 1"),
        ("discrete:1,2", "written VALUE@PROBABILITY"),
        ("discrete:1@nan,2@1", "sum to 1"),
        ("signed:normal", "only laws of non-negative values"),
        ("scipy:nothing", "no distribution named 'nothing'"),
        ("poisson:2", "did you mean 'scipy:poisson,2'"),
        ("lognormal:1", "did you mean 'scipy:lognorm,1'"),
        ("scipy:", "no distribution named ''; laws of it are written scipy:NAME"),
        ("scipy:weibul_min,2", "did you mean 'weibull_min'"),
        ("scipy:norm,0,-1", "a scale must be > 0"),
        ("scipy:gamma", "wants 1 shape parameters"),
        ("scipy:gamma,-2", "refuses the parameters"),
        ("scipy:cauchy", "must have a finite second moment"),
        ("scipy:pareto,1.5", "must have a finite second moment"),
        ("exponential:1e300", "no numbers in double precision: take another unit"),
        ("exponential:1e-200", "no numbers in double precision: take another unit"),
        ("normal:0,1e-200", "no numbers in double precision: take another unit"),
        ("uniform:1e200", "no numbers in double precision: take another unit"),
        ("constant:1e-200", "no numbers in double precision: take another unit"),
        ("scipy:t,2.02", "too heavy a tail"),
        ("scipy:poisson,-2", "refuses the parameters"),
        ("scipy:poisson", "wants 1 shape parameters"),
        ("scipy:zipf,2.5", "must have a finite second moment"),
        ("scipy:zipf,4", "more than the 256 values"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refusal:
        value_law(name).support  # noqa: B018
    assert "\n" not in str(refusal.value)


@dataclass(frozen=True)
class TwoValues(ValueLaw):
    """The values 1 and 3, with probabilities 1/4 and 3/4."""

    @property
    def support(self) -> tuple[float, float]:
        return (1.0, 3.0)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ((1.0, 0.25), (3.0, 0.75))

    def moment(self, k: int) -> float:
        return 0.25 + 0.75 * 3.0**k

    def transform(self, a: ndarray, order: int = 0) -> ndarray:
        return np.asarray(0.25 * 1j**order * np.exp(1j * a) + 0.75 * (3j) ** order * np.exp(3j * a))

    def partial(self, k: int, x: ndarray) -> ndarray:
        return np.where(np.asarray(x) < 1, 0.25, 0.0) + np.where(np.asarray(x) < 3, 0.75 * 3.0**k, 0.0)

    def quantile(self, q: ndarray) -> ndarray:
        return np.where(q < 0.25, 1.0, 3.0).astype(q.dtype)


@pytest.mark.parametrize("law", [TwoValues(), Symmetrised(TwoValues())], ids=lambda law: law.name)
def test_a_discrete_law_is_held_against_its_quantiles_too(law: ValueLaw) -> None:
    assert list(mismatches(law)) == []


def test_the_packages_own_laws_cannot_be_half_overridden() -> None:
    with pytest.raises(TypeError, match="Triangular must extend ValueLaw, not Uniform, whose closed forms"):

        class Triangular(Uniform):
            def moment(self, k: int) -> float:
                return 2 / (k + 2)


@dataclass(frozen=True)
class _Heavy(_Like):
    def moment(self, k: int) -> float:
        return np.inf if k == 2 else 1.0


def test_laws_without_finite_moments_or_quantiles_are_refused() -> None:
    with pytest.raises(ValueError, match="must have a finite second moment"):
        value_law(_Heavy("nothing"))
    with pytest.raises(ValueError, match="only laws of non-negative values are given a sign"):
        Symmetrised(Symmetrised(UNIFORM))


@pytest.mark.parametrize("values", [[1.0] * 5000, np.ones(5000), "discrete:" + ",".join(["1@0.001"] * 1000)])
def test_refusals_do_not_repeat_a_whole_sample(values: object) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        value_law(values)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    "name",
    ["scipy:poisson,2", "scipy:geom,0.3", "scipy:binom,10,0.3", "scipy:randint,-3,4", "scipy:poisson,0.5,-1",
     "discrete:0.5@0.2,1@0.3,1.5@0.4,3@0.1", "discrete:0.1@0.2,0.2@0.3,0.3@0.4,0.7@0.1", "scipy:randint,0,100"],
)  # fmt: skip
def test_transforms_of_counts_are_the_sums_over_their_values(name: str) -> None:
    law = value_law(name)
    a = np.random.default_rng(0).uniform(-100, 100, (3, 40)) * np.array([[1e-6], [1e-2], [1.0]])
    for k, found in enumerate(law.transforms(a, 3)):
        direct = sum(q * (1j * v) ** k * np.exp(1j * v * a) for v, q in law.atoms)
        size = sum(q * abs(v) ** k for v, q in law.atoms) * (1 + np.abs(a) * max(map(abs, law.support)))
        assert (np.abs(found - direct) <= 16 * np.finfo(float).eps * size).all()
        assert_allclose(law.transform(a, k), found, rtol=0, atol=0)


def test_half_normal_transforms_take_single_arguments_near_and_far() -> None:
    law = value_law("half-normal:1.3")
    for a in (0.0, 3.0, 30.0, -30.0, 1e4):
        for one, many in zip(law.transforms(np.array(a), 2), law.transforms(np.array([a, 1.0]), 2), strict=True):
            assert one == many[0]
