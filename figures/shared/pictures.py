"""The pictures that the documentation shows: drawn from stored numbers, small files that say what made them."""

import io
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.shared.documents import CLAIMS
from theory.tools.storage import write

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["FOLDER", "SECTIONS", "compressed", "gallery", "made_by", "store", "told"]

# Where in the documentation the pictures are.
FOLDER = "pictures"
# Colours of a stored picture: drawings have few, and shades that differ less are not told apart.
_COLOURS = 256
# The gallery's sections: every script stands in one.
SECTIONS = {
    "What is stored, and when": (
        "superposition_demo",
        "linear_against_relu",
        "benefit_and_interference",
        "conditions",
        "nonuniform_sparsity",
    ),
    "Geometries": ("staircase", "polytopes", "polygons"),
    "Phases and transitions": ("phase_diagram", "loss_crossover", "pca_collapse"),
    "Correlated and anticorrelated features": ("correlated_features", "shared_factors"),
    "What gradient descent learns": ("basins", "learning_dynamics", "energy_levels", "finite_data"),
    "Other networks, and how many directions fit": (
        "privileged_basis",
        "absolute_value",
        "almost_orthogonal",
        "compressed_sensing",
    ),
}
_HEAD = """# Gallery

Written by `python -m figures.claims`; do not edit.

Every figure at full size, its finding as the title. The command below it makes it anew, with its numbers beside it;
with `--quick` in seconds, smaller. What the figures say about the documents' claims stands on the page of
[claims](claims.md).
"""


def made_by(data: "xr.Dataset", figure: "Figure") -> dict[str, str]:
    """
    Say what a picture shows and what made it, for its metadata.

    Parameters
    ----------
    data : xarray.Dataset
        The numbers it shows, labelled with the settings that made them.
    figure : matplotlib.figure.Figure
        The picture.

    Returns
    -------
    dict of str to str
        ``Title``, the finding; ``Software``; ``Parameters``: figure, settings, and the sizes of the data, as JSON.
    """
    sizes = {str(name): int(size) for name, size in data.sizes.items()}
    parameters = {"figure": data.attrs["figure"], **json.loads(data.attrs["settings"]), "data": sizes}
    return {
        "Title": " ".join(figure.get_suptitle().split()),
        "Software": f"superposition-theory {data.attrs['version']}",
        "Parameters": json.dumps(parameters),
    }


def compressed(figure: "Figure", metadata: dict[str, str]) -> bytes:
    """
    Render a picture as a small PNG file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture.
    metadata : dict of str to str
        Texts to write into the file.

    Returns
    -------
    bytes
        The file, of at most 256 colours.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    full, small, texts = io.BytesIO(), io.BytesIO(), PngInfo()
    figure.savefig(full, format="png")
    for key, text in metadata.items():
        texts.add_itxt(key, text)
    # Coverage, not the median cut: that one gives colour bars, which are small, colours that are not theirs.
    how = Image.Quantize.MAXCOVERAGE
    picture = Image.open(full).convert("RGB").quantize(_COLOURS, how, kmeans=1, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True, pnginfo=texts)
    return small.getvalue()


def store(name: str, data: "xr.Dataset", folder: Path) -> Path:
    """
    Draw a figure from its numbers, for the documentation.

    Parameters
    ----------
    name : str
        Name of the script.
    data : xarray.Dataset
        Its numbers, labelled with the settings that made them.
    folder : Path
        Folder of the pictures; made if it is not there.

    Returns
    -------
    Path
        The file written.
    """
    figure = import_module(f"figures.{name}").draw(data)
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.png"
    write(path, compressed(figure, made_by(data, figure)))
    return path


def told(path: Path) -> dict[str, Any]:
    """
    Read what a stored picture says of itself.

    Parameters
    ----------
    path : Path
        A picture that ``store`` wrote.

    Returns
    -------
    dict of str to object
        ``title``, ``software``, ``figure``, ``quick``, ``seed``, ``data``.

    Raises
    ------
    ValueError
        If the picture does not say what made it.
    """
    from PIL import Image

    with Image.open(path) as picture:
        texts: dict[str, str] = getattr(picture, "text", {})
    if "Parameters" not in texts:
        raise ValueError(f"{path} does not say what made it; make it anew with python -m figures.claims")
    return {"title": texts["Title"], "software": texts["Software"], **json.loads(texts["Parameters"])}


def gallery(folder: Path, names: Sequence[str], claims: Mapping[int, str]) -> str:
    """
    Write the page of pictures.

    Parameters
    ----------
    folder : Path
        Folder of the pictures.
    names : sequence of str
        The scripts to show; without a picture they are left out.
    claims : mapping from int to str
        The script that judges each claim.

    Returns
    -------
    str
        Markdown (MyST): sections by subject, in each a part per figure.
    """
    lines = [_HEAD]
    for section, scripts in SECTIONS.items():
        shown = [name for name in scripts if name in names and (folder / f"{name}.png").exists()]
        if shown:
            lines += [f"## {section}", "", *_shown(folder, shown, claims)]
    return "\n".join(lines)


def _shown(folder: Path, names: Sequence[str], claims: Mapping[int, str]) -> list[str]:
    """The lines of a section of the gallery."""
    lines = []
    for name in names:
        made = told(folder / f"{name}.png")
        script = (import_module(f"figures.{name}").__doc__ or "").strip().split("\n\n", 1)
        judged = [claim for claim, judge in sorted(claims.items()) if judge == name]
        links = ", ".join(f"[{CLAIMS[claim].title}](claims.md#claim-{claim})" for claim in judged)
        links = f"Claims: {links}. " if links else ""
        lines += [
            f"(figure-{name})=",
            f"### {_plain(made['title'])}",
            "",
            f"![{_plain(made['title'])}]({FOLDER}/{name}.png)",
            "",
            *(f"{_plain(_joined(part))}\n" for part in script[-1].split("\n\n")),
            f"{links}Made by `python figures/{name}.py --seed {made['seed']}`, {made['software']}.",
            "",
        ]
    return lines


def _joined(part: str) -> str:
    """A paragraph on one line; of a list, every item."""
    items = ("\n" + part.strip()).split("\n- ")
    return "\n- ".join(" ".join(item.split()) for item in items).strip()


def _plain(text: str) -> str:
    """A text without what Markdown would read as markup."""
    for mark in ("*", "_", "<", "|", "~"):
        text = text.replace(mark, f"\\{mark}")
    return text.replace("``", "`")
