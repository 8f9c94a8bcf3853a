"""Cells whose loss is zero: named so where several geometries have none, and without transitions."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from theory import load_result
from theory.geometry.phases import CELL_PHASES, PHASES, UNDETERMINED
from theory.model.set_names import sets_of_names
from theory.model.value_names import value_law_of_name
from theory.model.variant import Variant
from theory.phase_diagram.diagram import exact_phase_diagram
from theory.phase_diagram.picture import draw_phase_diagram
from theory.phase_diagram.text import headline, summary
from theory.tools.storage import save_result

# The search's pieces are type-checked where they are tested one by one.
pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def free(at_full_speed: None) -> xr.Dataset:
    """Where one of three features at a time is active, two dimensions store all three without loss, in many ways."""
    return exact_phase_diagram(3, 2, 6, (0.01, 0.3), variant=Variant(sets=sets_of_names(["3:exactly-one"])))


@pytest.fixture(scope="module")
def partly_free(at_full_speed: None) -> xr.Dataset:
    """Binary features that are always active: biases alone have no loss."""
    return exact_phase_diagram(2, 1, 6, (0.1, 1.0), variant=Variant(values=value_law_of_name("binary")))


def test_where_several_geometries_have_no_loss_none_is_named(free: xr.Dataset) -> None:
    assert free["loss"].max() < 1e-12
    assert (free["phase"] == UNDETERMINED).all()
    assert (free["ideal_phase"] == UNDETERMINED).all()
    assert set(free["geometry"].values.ravel()) == {CELL_PHASES[UNDETERMINED]}
    assert free.sizes["boundary"] == 0
    text = summary(free)
    assert f"{CELL_PHASES[UNDETERMINED]:28}{'100.0%':>10}{'100.0%':>10}" in text
    assert "order" not in text
    assert "loss is zero everywhere" in headline(free)
    assert "superposition" not in headline(free)


def test_only_the_cells_of_loss_zero_are_not_determined_in_the_saved_file_too(
    partly_free: xr.Dataset, tmp_path: Path
) -> None:
    save_result(partly_free, tmp_path / "diagram.nc")
    data = load_result(tmp_path / "diagram.nc")
    for name in ("phase", "ideal_phase"):
        assert data[name].attrs["flag_meanings"].split("; ")[UNDETERMINED] == CELL_PHASES[UNDETERMINED]
        assert ((data[name] == UNDETERMINED) == (data["density"] == 1)).all()
    assert ((data["geometry"] == CELL_PHASES[UNDETERMINED]) == (data["density"] == 1)).all()
    assert data.sizes["boundary"] > 5
    for end in ("cell", "neighbour"):
        assert (data["phase"].values.ravel()[data[f"boundary_{end}"].values] != UNDETERMINED).all()
    assert f"{CELL_PHASES[UNDETERMINED]:38}{1 / 6:>10.1%}" in summary(data)
    labels = [text.get_text() for text in draw_phase_diagram(data).legends[0].get_texts()]
    assert "loss zero: not determined" in labels


def test_a_loss_of_zero_that_one_geometry_alone_has_determines_it() -> None:
    """One of two features at a time: an antipodal pair."""
    data = exact_phase_diagram(2, 1, 4, (0.05, 0.4), variant=Variant(sets=sets_of_names(["2:exactly-one"])))
    assert data["loss"].max() < 1e-12
    assert (data["phase"] == PHASES.index("superposition")).all()
    assert (data["ideal_phase"] == PHASES.index("superposition")).all()
    assert set(data["geometry"].values.ravel()) == {"digon"}


def test_a_usual_diagram_has_a_phase_in_every_cell() -> None:
    data = exact_phase_diagram(2, 1, 3)
    assert (data["phase"] < UNDETERMINED).all()
    assert CELL_PHASES[UNDETERMINED] not in summary(data)
    labels = [text.get_text() for text in draw_phase_diagram(data).legends[0].get_texts()]
    assert "loss zero: not determined" not in labels
    assert np.isfinite(data["ideal_loss"]).all()
