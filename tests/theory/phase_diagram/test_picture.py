"""The picture of a phase diagram: its lines, names and colours."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.testing import assert_allclose

from theory.geometry.phases import PHASES
from theory.model.set_names import sets_of_names
from theory.model.value_names import value_law_of_name
from theory.model.variant import Variant
from theory.phase_diagram.diagram import exact_phase_diagram
from theory.phase_diagram.labels import Labels
from theory.phase_diagram.lines import boundary_segments, ideal_uprights, uprights
from theory.phase_diagram.picture import draw_phase_diagram
from theory.phase_diagram.text import headline

# The search's pieces are type-checked where they are tested one by one.
pytestmark = pytest.mark.usefixtures("at_full_speed")

SHARED = PHASES.index("superposition")


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
    pieces = [{tuple(end) for end in ends} for ends, *_ in boundary_segments(transitions(*weak, *strong))]
    assert len(pieces) == 2
    for pair in (weak, strong):
        assert {row[:2] for row in pair} in pieces


def test_three_boundaries_meet_in_a_point() -> None:
    rows = ((0.12, 1.0, 1, 0.05, 0, 2), (0.13, 2.0, 1, 0.4, 1, 3), (0.1, 1.5, 2, 0.0, 0, 1))
    pieces = list(boundary_segments(transitions(*rows)))
    centre = np.exp(np.log([row[:2] for row in rows]).mean(0))
    assert sorted(order for _, order, _ in pieces) == [1, 1, 2]
    assert {tuple(ends[0]) for ends, *_ in pieces} == {row[:2] for row in rows}
    for ends, _, within in pieces:
        assert_allclose(ends[1], centre)
        assert within


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
    """Where one of two features at a time is active, one dimension is enough: there is no boundary to tell of."""
    variant = Variant(sets=sets_of_names(["2:exactly-one"]))
    data = exact_phase_diagram(2, 1, 3, (0.02, 0.3), (0.5, 20.0), variant=variant)
    assert headline(data) == "n = 2, m = 1: an extra feature is in superposition everywhere; idealised, everywhere"
    axes = draw_phase_diagram(data).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.02", "0.05", "0.1", "0.2"]
    assert not axes.get_xticklabels(minor=True)


def test_a_headline_says_at_which_importances_superposition_reaches_its_density() -> None:
    data = exact_phase_diagram(2, 1, 8, (0.05, 0.5))
    text = headline(data)
    # The diagram ends before superposition does; idealised boundaries are p = 4r / (2 + 5r) and p = 4 / (2r + 5).
    assert "idealised, even at p = 0.5 (at importance 0.67 to 1.5)" in text
    top = (data["boundary_density"].values == 0.5) & (data["boundary_along"].values == "importance")
    low, high = np.sort(data["boundary_importance"].values[top])
    assert f"superposition even at p = 0.5 (at importance {low:.2g} to {high:.2g});" in text
    whole = exact_phase_diagram(2, 1, 8)
    before, after = (whole[f"boundary_phase_{side}"].values for side in ("before", "after"))
    ends = np.flatnonzero((before != after) & ((before == SHARED) | (after == SHARED)))
    place = ends[whole["boundary_density"].values[ends].argmax()]
    p, r = (float(whole[f"boundary_{name}"].values[place]) for name in ("density", "importance"))
    assert f"superposition up to p = {p:.2f} (at importance {r:.2g}); idealised, up to p = 0.5" in headline(whole)


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


def test_a_diagram_has_a_key_to_its_colours_and_names_what_they_do_not_show(family: xr.Dataset) -> None:
    figure = draw_phase_diagram(family)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    for entry in (
        "not represented",
        "dedicated",
        "in superposition (bluer: less overlap)",
        "first order within a phase",
    ):
        assert any(label.startswith(entry) for label in labels)
    names = [text for text in figure.axes[1].texts if text.get_text().startswith("in")]
    assert len(names) == 3
    for name in names:
        there = family.sel(dict(zip(("density", "importance"), name.get_position(), strict=True)), method="nearest")
        assert int(there["phase"]) == SHARED
        text = name.get_text()
        assert ("overlap" in text) == (there["superposition"] < 0.5)
        assert ("norm" in text) == (there["norm"] < 0.5)


def inside(points: np.ndarray, box: Bbox) -> bool:
    return bool(((points > [box.x0, box.y0]) & (points < [box.x1, box.y1])).all(1).any())


@pytest.mark.parametrize(
    ("sizes", "resolution", "ranges", "variant"),
    [
        ((3, 1), 8, ((0.01, 0.7), (0.1, 10.0)), Variant(sets=sets_of_names(["2:partial:0.7"]))),
        ((2, 1), 12, ((0.01, 1.0), (0.1, 10.0)), Variant(values=value_law_of_name("binary"))),
    ],
)
def test_names_and_sketches_touch_neither_lines_nor_the_frame_nor_one_another(
    sizes: tuple[int, int], resolution: int, ranges: tuple[tuple[float, float], tuple[float, float]], variant: Variant
) -> None:
    figure = draw_phase_diagram(exact_phase_diagram(*sizes, resolution, *ranges, variant=variant))
    figure.draw_without_rendering()
    renderer = figure._get_renderer()  # type: ignore[attr-defined]
    labels = 0
    for axes in figure.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        boxes += [box.get_window_extent(renderer) for box in axes.artists]
        frame = axes.get_window_extent(renderer)
        for box in boxes:
            assert frame.x0 < box.x0 < box.x1 < frame.x1
            assert frame.y0 < box.y0 < box.y1 < frame.y1
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        for line in axes.lines:
            ends = axes.transData.transform(line.get_xydata())
            places = np.concatenate([np.linspace(*pair, 200) for pair in pairwise(ends)])
            assert not any(inside(places, box) for box in boxes)
        labels += len(boxes)
    assert labels >= 8


@pytest.mark.parametrize(("grey", "colour"), [(0.93, "black"), (0.2, "white")])
def test_a_density_is_readable_on_light_and_on_dark_cells(grey: float, colour: str) -> None:
    axes = Figure(figsize=(4, 4)).subplots()
    axes.set(xscale="log", yscale="log", xlim=(1.0, 0.1), ylim=(0.1, 10.0))
    line = np.array([[0.5, 0.1], [0.5, 10.0]])
    labels = Labels(axes, np.geomspace(0.1, 1, 5), np.geomspace(0.1, 10, 5), np.full((5, 5, 3), grey), [line])
    labels.density(0.5, 0.1, 10.0, "p = 1/2")
    (text,) = axes.texts
    assert text.get_color() == colour
    assert text.get_position()[0] < 0.5, "right of the line, where features are sparser"


def test_long_titles_are_broken_and_name_a_law_of_many_values_in_words(family: xr.Dataset) -> None:
    values = ",".join(f"{0.1 + 0.3 * k:.6g}@0.05" for k in range(20))
    data = family.assign_attrs(values=f"discrete:{values}")
    figure = draw_phase_diagram(data)
    title = figure.get_suptitle()
    assert "values discrete law of 20 values, 0.1 to 5.8" in title
    assert "@" not in title
    (shown,) = [text for text in figure.texts if text.get_text() == title]
    assert shown.get_window_extent(figure._get_renderer()).width < figure.bbox.width  # type: ignore[attr-defined]
