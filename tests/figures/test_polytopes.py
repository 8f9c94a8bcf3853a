"""The geometry figure and the staircase."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from figures import polytopes, staircase
from figures.common import Settings, labelled, load, save

pytestmark = pytest.mark.usefixtures("at_full_speed")

QUICK = Settings(quick=True, workers=1)


def test_dimensionalities_are_those_of_the_factors_not_of_the_whole() -> None:
    """Claim 8: 3 x 2/3 + 2 x 1/2, not 5 x 3/5; 5 x 2/5 + 2 x 1/2; three digons."""
    data = polytopes.compute(QUICK)
    expected = {"triangle + digon": [2 / 3] * 3 + [1 / 2] * 2, "pentagon + digon": [2 / 5] * 5 + [1 / 2] * 2,
                "3 digon": [1 / 2] * 6, "tetrahedron": [3 / 4] * 4}  # fmt: skip
    for name, values in expected.items():
        found = data["dimensionality"].sel(geometry=name).values
        assert_allclose(found[~np.isnan(found)], values, atol=1e-9)
    assert len(polytopes.draw(data).axes) == 12


def test_edges_of_the_cube_and_of_the_octahedron_are_counted() -> None:
    cube = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).astype(float)
    octahedron = np.concatenate([np.eye(3), -np.eye(3)], axis=1)
    for vertices, edges in ((cube, 12), (octahedron, 12)):
        pairs = [(j, k) for j in range(vertices.shape[1]) for k in range(j)]
        assert sum(polytopes._is_edge(vertices, j, k) for j, k in pairs) == edges


@pytest.mark.slow
def test_the_staircase_descends_from_one_feature_per_dimension() -> None:
    data = staircase.compute(QUICK)
    steps = data.sortby("inverse_density")["dimensions_per_feature"].values
    assert_allclose(steps[0], 1, atol=0.05)
    assert (np.diff(steps) < 1e-6).all()
    at_half = data["dimensionality"].sel(factor="digon").values
    assert_allclose(at_half[~np.isnan(at_half)], 0.5, atol=1e-9)
    assert len(staircase.draw(data).axes) == 2


def test_numbers_are_saved_with_the_settings_that_made_them(tmp_path: Path) -> None:
    data = labelled(polytopes.compute(QUICK), "polytopes", QUICK)
    save(data, polytopes.draw(data), tmp_path, "polytopes")
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
