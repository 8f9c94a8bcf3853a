"""Power sums give what feature by feature gives, within their own part of the error."""

import numpy as np
import pytest

from theory.loss.engine import bulk, chebyshev, power_sums
from theory.loss.engine.densities import POWERS, DensityBasis, density_basis, log_factor, summed_densities
from theory.loss.engine.engine import row_errors
from theory.loss.engine.estimate import RowEstimate
from theory.loss.engine.laws import SetLaw
from theory.loss.engine.rows import Features, Rows
from theory.model.set_laws import ALL_OR_NONE
from theory.model.values import BINARY, UNIFORM, ValueLaw

pytestmark = pytest.mark.usefixtures("at_full_speed")

N, M = 80, 10


def model(seed: int = 0, n: int = N) -> Rows:
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(M, n))
    W /= np.linalg.norm(W, axis=0)
    which = np.arange(0, n, 9)
    return Rows(W[:, which].T @ W, np.full(len(which), -0.1), which, np.zeros(len(which)))


def one_by_one(monkeypatch: pytest.MonkeyPatch, rows: Rows, features: Features, rtol: float) -> RowEstimate:
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "LEAST_FEATURES", 10**9)
        return row_errors(rows, features, rtol=rtol)


def agree(ours: RowEstimate, theirs: RowEstimate) -> None:
    assert (np.abs(ours.value - theirs.value) <= ours.error + theirs.error).all()
    allowed = (ours.gradient_error + theirs.gradient_error)[:, None]
    assert (np.abs(ours.dG - theirs.dG) <= allowed).all()
    assert (np.abs(ours.db - theirs.db) <= allowed[:, 0]).all()


DENSITIES = {
    "0.003": np.full(N, 0.003),
    "0.05": np.full(N, 0.05),
    "0.5": np.full(N, 0.5),
    "0.95": np.full(N, 0.95),
    "power law": 1 / np.arange(1.0, N + 1),
    "some zero couplings": np.full(N, 0.05),
    "random": np.random.default_rng(5).uniform(0.001, 1, size=N),
}


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
def test_sums_over_all_features_agree_with_one_by_one(name: str, rtol: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = model()
    if name == "some zero couplings":
        G = rows.G.copy()
        G[:, ::3] = 0.0
        G[::2, 5:9] *= 5
        rows = Rows(G, rows.b, rows.own, rows.noise)
    features = Features(UNIFORM, DENSITIES[name])
    monkeypatch.setattr(bulk, "_SMALL", 10**9)  # however few the features are that long series are made for
    ours = row_errors(rows, features, rtol=rtol)
    agree(ours, one_by_one(monkeypatch, rows, features, min(rtol, 1e-6)))
    # many dense features of unlike densities have no short series; couplings 30 times the others need long ones
    if name not in ("random", "some zero couplings"):
        assert (ours.path == "sums").all()
    assert (ours.error <= 1.01 * rtol * ours.value).all()


def test_a_series_of_one_term_in_p_is_not_one_density(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are next to 0 the logarithm is p times one function, and weights are the densities."""
    rows, features = model(), Features(UNIFORM, 1e-13 * np.arange(1.0, N + 1))
    ours = row_errors(rows, features, rtol=1e-4)
    assert (ours.path == "sums").all()
    agree(ours, one_by_one(monkeypatch, rows, features, 1e-4))


def test_no_long_series_is_made_for_few_features() -> None:
    """It would cost more than the features one by one: half a minute for one evaluation at n = 80."""
    features = Features(UNIFORM, np.full(N, 0.05))
    for rtol, path in ((1e-4, "sums"), (1e-8, "single")):
        assert (row_errors(model(), features, rtol=rtol).path == path).all()


@pytest.mark.parametrize("p", [0.1, 0.4])
def test_discrete_values_are_summed_too(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    features = Features(BINARY, np.full(N, p))
    ours = row_errors(model(), features, rtol=1e-4, max_nodes=512)
    theirs = one_by_one(monkeypatch, model(), features, 1e-4)
    assert (np.abs(ours.value - theirs.value) <= ours.error + theirs.error).all()


def test_a_lattice_of_discrete_values_is_noticed() -> None:
    """Couplings that are multiples of 0.02: phi comes back at 2 pi / 0.02, where no node has been."""
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], size=(100, N)) / 10
    which = np.arange(8)
    rows = Rows(signs[:, which].T @ signs, np.full(8, -0.11), which, np.zeros(8))
    features = Features(BINARY, np.full(N, 0.45))
    rough, fine = (row_errors(rows, features, rtol=rtol, max_nodes=k) for rtol, k in ((1e-5, 64), (1e-9, 16384)))
    assert (np.abs(rough.value - fine.value) <= rough.error + fine.error).all()


def test_values_of_one_model_do_not_depend_on_others_beside_it() -> None:
    rows, other = model(0), model(1)
    both = Rows(*(np.concatenate([getattr(r, name) for r in (rows, other)]) for name in ("G", "b", "own", "noise")))
    p = np.stack([np.full(N, 0.05)] * len(rows.b) + [np.full(N, 0.2)] * len(other.b))
    together = row_errors(both, Features(UNIFORM, p), rtol=1e-6)
    alone = row_errors(rows, Features(UNIFORM, np.full(N, 0.05)), rtol=1e-6)
    np.testing.assert_allclose(together.value[: len(rows.b)], alone.value, rtol=1e-12)
    assert (together.nodes[: len(rows.b)] == alone.nodes).all()


def test_a_set_among_many_features(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = model()
    sets = SetLaw((0, 3, 18), 0.2, ALL_OR_NONE), SetLaw((1, 2), 0.4, ALL_OR_NONE)
    features = Features(UNIFORM, np.full(N, 0.05), sets)
    ours = row_errors(rows, features, rtol=1e-5)
    agree(ours, one_by_one(monkeypatch, rows, features, 1e-6))
    assert (ours.path == "sums").all()


@pytest.mark.parametrize("law", [UNIFORM, BINARY])
def test_gradient_is_that_of_the_sums(law: ValueLaw) -> None:
    rows, features = model(), Features(law, np.full(N, 0.2))
    direction = np.random.default_rng(3).normal(size=rows.G.shape)
    eps = 1e-5

    def at(s: float) -> RowEstimate:
        return row_errors(
            Rows(rows.G + s * direction, rows.b, rows.own, rows.noise), features, rtol=1e-5, max_nodes=128
        )

    slope = (at(eps).value - at(-eps).value) / (2 * eps)
    np.testing.assert_allclose(slope, (at(0.0).dG * direction).sum(1), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("terms", [2, 3, 8, 61, 400])
@pytest.mark.parametrize("columns", [1, 3])
def test_products_of_short_tables_are_all_polynomials(terms: int, columns: int) -> None:
    """NumPy's Chebyshev series and derivatives, to what recurrences of that length lose."""
    rng = np.random.default_rng(terms)
    x = np.concatenate([rng.uniform(-1, 1, size=(3, 40)), [np.linspace(-1, 1, 40)]])
    weights = rng.normal(size=(40, columns))
    found = power_sums.moments_of(x, weights, terms)
    expected = np.einsum("rjq,jl->qlr", np.polynomial.chebyshev.chebvander(x, terms - 1), weights)
    np.testing.assert_allclose(found, expected, atol=1e-15 * terms**2 * 40)
    slope = rng.normal(size=(terms, columns, 4)) / np.arange(1, terms + 1)[:, None, None]
    own = np.einsum("qlr,jl->qrj", slope, weights)
    expected = np.einsum("rjq,qrj->rj", np.polynomial.chebyshev.chebvander(x, terms - 1), own)
    np.testing.assert_allclose(power_sums._expanded(x, slope, weights), expected, atol=1e-15 * terms**2 * 10)


@pytest.mark.slow
def test_long_series_pay_for_many_rows() -> None:
    """At n = 400 and 1e-9 some 2500 polynomials take a twentieth of the time that 400 features one by one do."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(30, 400))
    W /= np.linalg.norm(W, axis=0)
    features = Features(UNIFORM, np.full(400, 0.01))
    rows = Rows(W.T @ W, np.full(400, -0.1), np.arange(400), np.zeros(400))
    found = row_errors(rows, features, rtol=1e-9)
    assert (found.path == "sums").all()
    assert (found.error <= 1e-9 * found.value).all()
    few = np.array([3, 200])
    alone = row_errors(rows.take(few), features, rtol=1e-9)
    assert (alone.path == "single").all()
    assert (np.abs(alone.value - found.value[few]) <= alone.error + found.error[few]).all()
    assert (np.abs(alone.dG - found.dG[few]) <= (alone.gradient_error + found.gradient_error[few])[:, None]).all()


def test_few_steep_densities_are_left_to_themselves() -> None:
    """The first features of a power law make everyone's series long; many of them have a series of their own."""
    p = 1 / np.arange(1.0, 401)

    def series(p: np.ndarray) -> tuple[DensityBasis, np.ndarray, np.ndarray]:
        part, pieces = summed_densities(p)
        return *density_basis(UNIFORM, p, part, pieces, lambda misses: misses[0] * p[part].mean() <= 1e-12), part

    basis, weights, part = series(p)
    assert (part == (p <= 0.05)).all()
    assert basis.misses[0] * p[part].mean() <= 1e-12
    everyone, _, _ = series(np.minimum(p**0.5, 0.3))
    assert len(basis.nodes) < 0.75 * len(everyone.nodes)
    e = UNIFORM.transform(np.linspace(0, 60, 50))
    sampled = np.log(1 + np.array(basis.nodes)[:, None] * (e - 1))
    expected = np.log(1 + p[part, None] * (e - 1))
    miss = np.abs(weights[part] @ np.array(basis.to_series) @ sampled - expected).max(1)
    assert (miss <= basis.misses[0] * p[part] + 4e-16).all()  # rare features are as accurate relative to their density


@pytest.mark.parametrize("law", [UNIFORM, BINARY])
@pytest.mark.parametrize("terms", [1, 2, 3, 5, 7])
def test_short_series_in_the_density_miss_least_where_arguments_are_small(law: ValueLaw, terms: int) -> None:
    """Every stated power of the argument bounds what is missed; the best of them is less than a hundred times that."""
    p = np.geomspace(1e-4, 0.049, 120)
    part, pieces = summed_densities(p)
    assert part.all()
    asked = []

    def enough(misses: tuple[float, ...]) -> bool:
        asked.append(misses)
        return len(asked) == terms

    basis, weights = density_basis(law, p, part, pieces, enough)
    a = np.concatenate([np.geomspace(0.02, 3, 150), np.linspace(3, 60, 500)])
    sampled = np.stack([log_factor(law.transform(a), q) for q in basis.nodes])
    expected = np.stack([log_factor(law.transform(a), q) for q in p])
    miss = (np.abs(weights @ np.array(basis.to_series) @ sampled - expected) / p[:, None]).max(0)
    slopes = [[q * e1 / (1 - q + q * e) for q in many] for many in (basis.nodes, p) for e, e1 in [law.transforms(a, 1)]]
    slope_miss = (np.abs(weights @ np.array(basis.to_series) @ slopes[0] - slopes[1]) / p[:, None]).max(0)
    for found, stated, fewer in ((miss, basis.misses, 0), (slope_miss, basis.slope_misses, 1)):
        bound = np.min([m * a ** max(q - fewer, 0) for m, q in zip(stated, POWERS, strict=True)], axis=0)
        assert (found <= bound + 4e-15).all()  # sums of numbers of the order of 1
        assert (found >= bound / 100)[found > 1e-14].mean() > 0.3


def test_rows_whose_series_in_the_density_turns_out_too_short_get_a_longer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, features = model(), Features(UNIFORM, DENSITIES["power law"])
    monkeypatch.setattr(bulk, "_EXPECTED", 1e3)
    ours = row_errors(rows, features, rtol=1e-6)
    assert (ours.path == "sums").all()
    agree(ours, one_by_one(monkeypatch, rows, features, 1e-6))
    assert (ours.error <= 1e-6 * ours.value).all()


@pytest.mark.parametrize("allowed", [0.0, 1e-9, 1e-4])
@pytest.mark.parametrize("p", [(0.01,), (0.02, 0.3)])
def test_terms_that_are_left_out_cost_what_is_stated(p: tuple[float, ...], allowed: float) -> None:
    """Sums at 128 nodes against the functions themselves, with fewer terms where later nodes weigh less."""
    samples = tuple(map(tuple, np.eye(len(p)).tolist()))
    basis = DensityBasis(p, samples)
    s = chebyshev.series(UNIFORM, basis, 0.7, 0, 128, 2.0, allowed, (4.0, 0.1))
    exact = chebyshev.series(UNIFORM, basis, 0.7, 0, 128, 2.0)
    assert s.numbers <= exact.numbers
    assert (s.numbers < 0.8 * exact.numbers) == (allowed > 0)
    rng = np.random.default_rng(4)
    x, weights = rng.uniform(-1, 1, size=(3, 30)), rng.uniform(size=(30, len(p)))
    mix = np.arange(1.0, len(p) + 1)
    found = power_sums.evaluate(s, power_sums.moments_of(x, weights, s.terms), mix)
    e = UNIFORM.transform(0.7 * x[:, :, None] * (np.arange(128) + 0.5))
    logs = np.stack([log_factor(e, q) for q in p])
    miss = np.abs(found[0] - np.einsum("jl,lrjk->rk", weights, logs))
    assert (miss <= weights.max(1).sum() * s.tail + 1e-12).all()
    assert (
        np.abs(found[1] - np.einsum("j,rjk->rk", weights @ mix, e)) <= (weights @ mix).sum() * s.tail_single + 1e-12
    ).all()


def test_series_in_use_are_kept_where_there_is_no_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three in turn, room for two: one is made every time, not all three; what is used no more makes room."""
    made = []
    basis = DensityBasis((0.1,), ((1.0,),))

    def make(*key: object) -> chebyshev.Series:
        made.append(key)
        return original(*key)

    original = chebyshev._series
    monkeypatch.setattr(chebyshev, "_series", make)
    arguments = [(UNIFORM, basis, Y, 0, 16, 1.0, 0.0, (0.0, 1.0)) for Y in (0.5, 0.51, 0.52, 0.53)]
    kept = chebyshev._Kept(int(2.5 * original(*arguments[0]).numbers))
    for _ in range(3):
        for some in arguments[:3]:
            kept(*some)
    assert len(made) == 3 + 2
    for _ in range(chebyshev._LONG_AGO + 2):
        kept(*arguments[3])
    made.clear()
    kept(*arguments[3])
    assert not made
