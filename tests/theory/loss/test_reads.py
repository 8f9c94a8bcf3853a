"""Which features an output reads."""

import numpy as np
from numpy.testing import assert_array_equal

from theory.loss.reads import FAINT, NEGLIGIBLE, own_then_read, reads


def test_own_feature_and_couplings_above_rounding_are_read() -> None:
    G = np.array([[0.0, 2 * NEGLIGIBLE, NEGLIGIBLE / 2], [-1.0, 0.0, 0.0], [0.5, 0.0, 1e-9]])
    assert_array_equal(reads(G, np.arange(3)), [[True, True, False], [True, True, False], [True, False, True]])


def test_faint_couplings_are_measured_by_the_largest_however_small_that_is() -> None:
    for size in (1.0, 1e-20):
        c = size * np.array([0.0, 1.0, 0.9 * FAINT, -1.1 * FAINT])
        assert_array_equal(reads(c, np.asarray(0), but_faint=True), [True, True, False, True])
        assert_array_equal(reads(c, np.asarray(2), but_faint=True), [False, True, True, True])


def test_own_feature_comes_first_then_what_is_read() -> None:
    read = np.array([[True, False, True, True], [False, True, False, True]])
    assert_array_equal(own_then_read(read, np.array([2, 3])), [[2, 0, 3, 1], [3, 1, 0, 2]])
