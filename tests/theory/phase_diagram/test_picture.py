"""The picture of a phase diagram: its lines, names and colours."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from theory.model.set_names import sets_of_names
from theory.model.variant import Variant
from theory.phase_diagram.diagram import exact_phase_diagram
from theory.phase_diagram.lines import boundary_segments, ideal_uprights, uprights
from theory.phase_diagram.picture import draw_phase_diagram, headline

# The search's pieces are type-checked where they are tested one by one.
pytestmark = pytest.mark.usefixtures("at_full_speed")


def transitions(*rows: tuple[float, float, int, float, int, int]) -> xr.Dataset:
    """Transitions of a grid of 2 x 2 cells: density, importance, order, jump of the solution, cell, neighbour."""
    names = ("density", "importance", "order", "solution_jump", "cell", "neighbour")
    columns = {
        f"boundary_{name}": ("boundary", list(x)) for name, x in zip(names, zip(*rows, strict=True), strict=True)
    }
    phases = {f"boundary_phase_{side}": ("boundary", [2] * len(rows)) for side in ("before", "after")}
    return xr.Dataset(columns | phases, coords={"density": [0.1, 0.2], "importance": [1.0, 2.0]})


def test_boundaries_that_run_side_by_side_are_drawn_apart() -> None:
    weak = ((0.12, 1.0, 1, 0.05, 0, 2), (0.13, 2.0, 1, 0.06, 1, 3))
    strong = ((0.14, 1.0, 1, 0.8, 0, 2), (0.16, 2.0, 1, 0.7, 1, 3))
    pieces = [{tuple(end) for end in ends} for ends, _ in boundary_segments(transitions(*weak, *strong))]
    assert len(pieces) == 2
    for pair in (weak, strong):
        assert {row[:2] for row in pair} in pieces


def test_three_boundaries_meet_in_a_point() -> None:
    rows = ((0.12, 1.0, 1, 0.05, 0, 2), (0.13, 2.0, 1, 0.4, 1, 3), (0.1, 1.5, 2, 0.0, 0, 1))
    pieces = list(boundary_segments(transitions(*rows)))
    centre = np.exp(np.log([row[:2] for row in rows]).mean(0))
    assert sorted(order for _, order in pieces) == [1, 1, 2]
    assert {tuple(ends[0]) for ends, _ in pieces} == {row[:2] for row in rows}
    for ends, _ in pieces:
        assert_allclose(ends[1], centre)


def test_the_others_own_boundary_is_at_four_sevenths_if_idealised() -> None:
    data = exact_phase_diagram(3, 2, resolution=24, density=(0.45, 0.8), importance=(2.0, 8.0))
    ((ideal, low, high),) = ideal_uprights(data)
    # Two others in one dimension, idealised: p/3 - p^2/4 = 2 p^2/6.
    assert_allclose(ideal, 4 / 7, rtol=1e-6)
    assert_allclose([low, high], [2.0, 8.0])
    ((exact, _, _),) = uprights(data)
    assert_allclose(exact, 0.70636, atol=1e-4)
    assert "p = 4/7" in [text.get_text() for text in draw_phase_diagram(data).axes[0].texts]


def test_a_diagram_of_one_phase_says_so_and_labels_its_short_axes() -> None:
    """Where one of three features at a time is active, two dimensions are enough: there is no boundary to tell of."""
    variant = Variant(sets=sets_of_names(["3:exactly-one"]))
    data = exact_phase_diagram(3, 2, 3, (0.02, 0.3), (0.5, 20.0), variant=variant)
    shared = data.attrs["phases"].split("; ").index("superposition")
    of_one = data.isel({data["boundary_density"].dims[0]: slice(0)})
    of_one = of_one.assign(phase=xr.full_like(data["phase"], shared))
    assert "in superposition everywhere; idealised, nowhere" in headline(of_one)
    axes = draw_phase_diagram(of_one).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.02", "0.05", "0.1", "0.2"]
    assert not axes.get_xticklabels(minor=True)


@pytest.fixture(scope="module")
def family(at_full_speed: None) -> xr.Dataset:
    """A parent and its two children, of whom either may be the one left out: candidates tie at every density."""
    variant = Variant(sets=sets_of_names(["3:hierarchy:0.5"]))
    return exact_phase_diagram(3, 2, 10, (0.01, 0.3), (0.25, 4.0), variant=variant)


def test_candidates_that_tie_everywhere_have_no_boundary_between_them(family: xr.Dataset) -> None:
    others = family["ideal_loss_of_others"].values
    apart = (np.abs(others[:, None] - others) / others.max(0)).max(-1)[~np.eye(len(others), dtype=bool)]
    assert apart.min() < 1e-12, "there is a tie"
    assert not list(ideal_uprights(family))
    assert not [text for text in draw_phase_diagram(family).axes[0].texts if "p = " in text.get_text()]


def test_a_diagram_has_a_key_to_its_colours_and_names_a_phase_where_it_has_its_colour(family: xr.Dataset) -> None:
    figure = draw_phase_diagram(family)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"dedicated", "in superposition"} < set(labels)
    assert any(label.startswith("not represented") for label in labels)
    (name,) = [text for text in figure.axes[1].texts if text.get_text() == "in\nsuperposition"]
    p, r = name.xy
    there = family.sel(density=p, importance=r, method="nearest")
    assert int(there["phase"]) == 2
    assert there["superposition"] > 0.5
    assert there["norm"] > 0.5
