"""Claim 19: how the number of almost orthogonal directions grows with the dimension."""

from figures.shared.script import Settings

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import figures.almost_orthogonal as script
from figures.almost_orthogonal import compute, draw, greedy_set, judge, phase_coherence, root_systems
from figures.shared.verdicts import HOLDS
from theory import coherence, load_result, save_result
from theory.frames.directions import largest_cosine, log_upper

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_claim_19_exponential_but_not_in_every_dimension(data: xr.Dataset) -> None:
    (verdict,) = judge(data)
    assert verdict.claim == 19
    assert verdict.outcome == HOLDS  # nobody states from which dimension on
    assert [finding.agrees for finding in verdict.findings] == [True, False, True]


def test_wrong_stated_numbers_are_told(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "STATED_GROWTH", 0.01)
    monkeypatch.setattr(script, "STATED_FROM", 5000)
    assert [finding.agrees for finding in judge(data)[0].findings] == [False, True, True]


def test_landmarks_of_one_degree(data: xr.Dataset) -> None:
    eps = np.sin(np.pi / 180)
    assert_allclose(data.attrs["welch_singular"], 3283.14, atol=0.01)
    assert_allclose(data.attrs["welch_at_1000"], 1000 * (1 - eps**2) / (1 - 1000 * eps**2), rtol=1e-10)
    assert data.attrs["twice_possible"] < data.attrs["welch_singular"] < data.attrs["twice_guaranteed"] == 4096
    assert_allclose(data.attrs["growth_guaranteed"], -0.5 * np.log(1 - eps**2), rtol=1e-3)


def test_every_measured_set_obeys_its_angle_and_the_upper_bound(data: xr.Dataset) -> None:
    for angle, d, n, cosine in zip(
        *(data[name].values for name in ("set_angle", "set_dimension", "vectors", "coherence")), strict=True
    ):
        assert cosine <= largest_cosine(angle) + 1e-12
        assert np.log(n) <= log_upper(float(d), largest_cosine(angle)) + 1e-9


def test_root_systems_have_their_lines() -> None:
    systems = root_systems()
    assert {d: V.shape[1] for d, V in systems.items()} == {4: 12, 6: 36, 7: 63, 8: 120}
    for d, V in systems.items():
        assert np.linalg.matrix_rank(V) == d
        assert coherence(V) == pytest.approx(0.5)


def test_phases_are_measured_as_all_pairs_are() -> None:
    p = 5
    x = np.arange(p)
    phases = np.array([np.exp(2j * np.pi * (a * x * x + b * x) / p) for a in range(p) for b in range(p)])
    real = np.concatenate([np.c_[v.real, v.imag] for v in (phases, 1j * phases)])
    assert coherence(real.T) == pytest.approx(phase_coherence(p), abs=1e-12)
    assert phase_coherence(p) <= p**-0.5 + 1e-12


def test_greedy_sets_grow_faster_than_the_dimension() -> None:
    eps = largest_cosine(30)
    few, many = (greedy_set(d, eps, 2000, np.random.default_rng(0)).shape[1] for d in (6, 18))
    assert many > 5 * few


def test_the_verdict_survives_saving(data: xr.Dataset, tmp_path: Path) -> None:
    save_result(data, tmp_path / "data.nc")
    assert judge(load_result(tmp_path / "data.nc")) == judge(data)


def test_the_picture_has_three_panels(data: xr.Dataset) -> None:
    assert [axes.get_title(loc="left")[:3] for axes in draw(data).axes] == ["(a)", "(b)", "(c)"]
