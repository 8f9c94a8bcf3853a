"""How sphinx-gallery runs the figure scripts, and finds the pictures that they save."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

FOLDER = Path(tempfile.mkdtemp(prefix="gallery"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Command line of every script: the small version of its figure, named by its file like a script that is run."""
    script_vars["example_globals"]["__file__"] = script_vars["src_file"]
    return ["--quick", "--output", str(FOLDER)]


def scrape(block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Move the picture that a script has saved to where the gallery shows it."""
    picture = FOLDER / f"{Path(block_vars['src_file']).stem}.png"
    if not picture.exists():
        return ""
    target = next(block_vars["image_path_iterator"])
    shutil.move(picture, target)
    return figure_rst([target], gallery_conf["src_dir"])
