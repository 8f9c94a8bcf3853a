"""The pictures of the documentation: full size, small files, and each says what made it."""

from figures.shared.script import SCRIPTS, Settings, obtain

import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from figures.shared.pictures import FOLDER, SECTIONS, gallery, store, told

pytestmark = pytest.mark.usefixtures("at_full_speed")

DOCS = Path(__file__).parent.parent / "docs"
STORED = sorted((DOCS / FOLDER).glob("*.png"))
CLAIMS = {int(claim): found["script"] for claim, found in json.loads((DOCS / "claims.json").read_text("utf-8")).items()}
# All pictures of the documentation together, in bytes; who clones the repository fetches them.
MOST = 8_000_000


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_no_picture_of_the_documentation_is_a_quick_one(path: Path) -> None:
    made = told(path)
    assert made["quick"] is False
    assert made["figure"] == path.stem
    assert made["seed"] == 0
    assert made["software"].startswith("superposition-theory ")
    assert made["data"]


def test_pictures_of_the_documentation_are_small_together() -> None:
    sizes = [path.stat().st_size for path in DOCS.rglob("*.png") if "_build" not in path.parts]
    assert 0 < sum(sizes) < MOST


def test_pages_show_stored_pictures_only_and_every_one() -> None:
    stored = {path.stem for path in STORED}
    for page, expected in (("gallery.md", stored), ("claims.md", stored & set(CLAIMS.values()))):
        assert set(re.findall(rf"\]\({FOLDER}/(\w+)\.png\)", (DOCS / page).read_text("utf-8"))) == expected, page


def test_every_figure_has_its_picture() -> None:
    drawn = {path.stem for path in STORED}
    missing = " ".join(set(SCRIPTS) - drawn)
    assert drawn == set(SCRIPTS), f"python -m figures.claims --output docs --only {missing}"


def test_every_figure_stands_in_one_section() -> None:
    assert sorted(name for scripts in SECTIONS.values() for name in scripts) == sorted(SCRIPTS)


def test_the_gallery_is_what_the_stored_pictures_say() -> None:
    assert (DOCS / "gallery.md").read_text("utf-8") == gallery(DOCS / FOLDER, SCRIPTS, CLAIMS)


def test_a_quick_picture_is_told_from_a_full_one(tmp_path: Path) -> None:
    data, _ = obtain("polygons", tmp_path, Settings(quick=True, workers=1))
    path = store("polygons", data, tmp_path / FOLDER)
    made = told(path)
    assert made["quick"] is True
    assert made["data"] == {str(name): size for name, size in data.sizes.items()}
    assert made["title"] == " ".join(import_module("figures.polygons").draw(data).get_suptitle().split())
    assert made["title"] in gallery(tmp_path / FOLDER, ["polygons"], CLAIMS).replace("\\", "")
    unjudged = gallery(tmp_path / FOLDER, ["polygons"], {})
    assert "\n\nMade by `python figures/polygons.py" in unjudged
    assert "Claims:" not in unjudged


def test_a_stored_picture_looks_like_the_drawing(tmp_path: Path) -> None:
    from PIL import Image

    data, _ = obtain("polygons", tmp_path, Settings(quick=True, workers=1))
    small = np.asarray(Image.open(store("polygons", data, tmp_path / FOLDER)).convert("RGB"), float)
    import_module("figures.polygons").draw(data).savefig(tmp_path / "full.png")
    full = np.asarray(Image.open(tmp_path / "full.png").convert("RGB"), float)
    assert small.shape == full.shape
    assert np.abs(small - full).mean() < 1  # of 255


def test_a_picture_that_says_nothing_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="does not say what made it"):
        told(tmp_path / "a.png")
