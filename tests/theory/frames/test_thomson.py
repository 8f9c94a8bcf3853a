"""Thomson's problem, against energies known from the literature."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from theory import POLYTOPES, recognise
from theory.frames.thomson import coulomb_energy, largest_angle, thomson_optimum

# Known least energies (Wales and Ulker 2006), and their geometries.
KNOWN = {
    2: (0.5, "digon"),
    3: (1.732050808, "triangle"),
    4: (3.674234614, "tetrahedron"),
    5: (6.474691495, "triangle + digon"),
    6: (9.985281374, "3 digon"),
    7: (14.452977414, "pentagon + digon"),
    8: (19.675287861, "square antiprism"),
    12: (49.165253058, "icosahedron"),
}


@pytest.mark.parametrize("v", KNOWN)
def test_least_energies_are_the_known_ones(v: int) -> None:
    U, energy = thomson_optimum(v, 4, np.random.default_rng(0))
    assert_allclose(energy, KNOWN[v][0], atol=2e-8)
    assert recognise(U).name == KNOWN[v][1]


def test_the_gradient_is_the_energys() -> None:
    rng = np.random.default_rng(0)
    X, step = rng.standard_normal((3, 5)), 1e-6 * rng.standard_normal((3, 5))
    difference = coulomb_energy(X + step)[0] - coulomb_energy(X - step)[0]
    assert_allclose((coulomb_energy(X)[1] * step).sum() * 2, difference, rtol=1e-6)


def test_rotation_reflection_and_order_make_no_angle() -> None:
    rng = np.random.default_rng(0)
    U = POLYTOPES["square antiprism"].directions()
    turned = -Rotation.random(rng=rng).as_matrix() @ U[:, rng.permutation(8)]
    assert_allclose(largest_angle(U, turned), 0, atol=1e-5)


def test_a_cube_is_no_antiprism_and_one_moved_vertex_is_seen() -> None:
    cube, antiprism = (POLYTOPES[name].directions() for name in ("cube", "square antiprism"))
    # One square turns by an eighth of a turn against the other: each vertex by half of that.
    chord = 2 * np.sqrt(2 / 3) * np.sin(np.pi / 16)
    assert_allclose(largest_angle(cube, antiprism), np.degrees(2 * np.arcsin(chord / 2)), atol=1e-5)
    moved = cube.copy()
    moved[:, 0] = Rotation.from_rotvec([0, 0, np.radians(8)]).as_matrix() @ cube[:, 0]
    assert 2 < largest_angle(cube, moved) < 8
