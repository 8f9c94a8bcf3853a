"""Claims 8 and 9: geometries as products of factors, and beside Thomson's optima; options of a figure script."""

from figures.shared.script import Settings, labelled, load, save

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures import polytopes
from figures.parts.polytope_panels import is_edge
from figures.shared.verdicts import DEPENDS, FAILS, HOLDS, PARTLY

pytestmark = pytest.mark.usefixtures("at_full_speed")

QUICK = Settings(quick=True, workers=1)


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return polytopes.compute(QUICK)


def test_claim_8_dimensionalities_are_those_of_the_factors_not_of_the_whole(data: xr.Dataset) -> None:
    """3 x 2/3 + 2 x 1/2, not 5 x 3/5; 5 x 2/5 + 2 x 1/2; three digons."""
    expected = {"triangle + digon": [2 / 3] * 3 + [1 / 2] * 2, "pentagon + digon": [2 / 5] * 5 + [1 / 2] * 2,
                "3 digon": [1 / 2] * 6, "tetrahedron": [3 / 4] * 4}  # fmt: skip
    for name, values in expected.items():
        found = data["dimensionality"].sel(geometry=name).values
        assert_allclose(found[~np.isnan(found)], values, atol=1e-9)


def test_claim_9_digons_and_right_angles_beat_the_tetrahedron_at_low_density(data: xr.Dataset) -> None:
    sparse = data.sel(compared=0.1)
    assert sparse["best"].values.tolist() == [
        "digon + 2 dedicated", "2 digon + dedicated", "3 digon", "pentagon + digon", "square antiprism",
    ]  # fmt: skip
    # A tetrahedron's vertices lie half its angle, acos(-1/3) = 2 x 54.7 degrees, less 90 from two axes and a digon.
    assert_allclose(sparse["angle"][0], 90 - np.degrees(np.arccos(-1 / 3)) / 2, atol=1e-3)
    assert_allclose(sparse["angle"][1:4], [30, 0, 0], atol=1e-3)
    assert 1 < sparse["angle"][4] < 2


def test_claim_9_seven_of_the_shapes_solve_thomsons_problem(data: xr.Dataset) -> None:
    solved = [name for name in data["geometry"].values if polytopes.solves_thomson(str(name), data)]
    assert solved == ["digon", "triangle", "tetrahedron", "triangle + digon", "3 digon", "pentagon + digon",
                      "square antiprism"]  # fmt: skip


def test_claim_8_holds_and_claim_9_depends_on_what_a_lot_is(data: xr.Dataset, tmp_path: Path) -> None:
    save(labelled(data, "polytopes", QUICK), polytopes.draw(data), tmp_path, "polytopes")
    again = load(tmp_path, "polytopes", QUICK)
    assert again is not None
    for verdicts in (polytopes.judge(data), polytopes.judge(again)):
        assert [(verdict.claim, verdict.outcome) for verdict in verdicts] == [(8, HOLDS), (9, DEPENDS)]


def test_these_shapes_are_those_of_the_slides_or_the_best_solutions_not_those_drawn_here(data: xr.Dataset) -> None:
    thomson = polytopes.judge(data)[1]
    by_label = {choice.label: choice for choice in thomson.findings[0].choices}
    words = by_label["the shapes that words name, at least 75% of them"]
    assert words.agrees
    assert words.found.endswith("not pentagon")
    assert not any(choice.agrees for label, choice in by_label.items() if "best of 4" in label and "75%" in label)
    assert not any("drawn" in label for label in by_label)


def test_wrong_statements_are_found_wrong(data: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(polytopes.STATED_FACTORS, "triangle + digon", {3 / 5: 5})
    monkeypatch.setattr(polytopes, "STATED_SHARES", (0.9,))
    products, thomson = polytopes.judge(data)
    assert products.outcome.startswith(PARTLY)
    assert len(thomson.findings[0].choices) == len(polytopes.NAMED) + data.sizes["compared"]
    assert thomson.outcome == FAILS


def test_the_picture_has_a_panel_per_geometry_and_the_comparison(data: xr.Dataset) -> None:
    assert len(polytopes.draw(data).axes) == 13


def test_edges_of_the_cube_and_of_the_octahedron_are_counted() -> None:
    cube = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).astype(float)
    octahedron = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    for vertices, edges in ((cube, 12), (octahedron, 12)):
        pairs = [(j, k) for j in range(vertices.shape[1]) for k in range(j)]
        assert sum(is_edge(vertices, j, k) for j, k in pairs) == edges


def test_numbers_are_saved_with_the_settings_that_made_them(data: xr.Dataset, tmp_path: Path) -> None:
    save(labelled(data, "polytopes", QUICK), polytopes.draw(data), tmp_path, "polytopes")
    again = load(tmp_path, "polytopes", QUICK)
    assert again is not None
    assert_allclose(again["W"], data["W"])
    assert load(tmp_path, "polytopes", Settings(quick=False)) is None
    (tmp_path / "polytopes.nc").write_bytes(b"truncated")
    assert load(tmp_path, "polytopes", QUICK) is None


@pytest.mark.parametrize(
    "arguments", [["--workers", "0"], ["--seed", "-1"], ["--output", "/proc/nowhere"], ["--format", "gif"], ["--fast"]]
)
def test_bad_arguments_end_in_one_line_and_code_2(arguments: list[str]) -> None:
    script = Path(polytopes.__file__)
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("figures/polytopes.py: ")
