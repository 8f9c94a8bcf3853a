"""A report as files: picture, table, numbers, and one HTML page that needs nothing else."""

import html
from pathlib import Path
from typing import TYPE_CHECKING

from theory.tools.html import cell, image, table
from theory.tools.storage import results_folder, save_picture, save_result, write

if TYPE_CHECKING:
    from theory.search.model_report import ModelReport

__all__ = ["save_report", "summary_html"]

# Rows of features that the page shows; the CSV file has all.
_ROWS = 100
_STYLE = """<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1a1a1a; }
div.wide { overflow-x: auto; } img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 14px; } th, td { padding: .2rem .6rem; text-align: right;
white-space: nowrap; border-bottom: 1px solid #ddd; } th { text-align: right; background: #f4f4f2; }
</style>"""


def summary_html(found: "ModelReport") -> str:
    """
    Give the verdicts as an HTML table, with a small picture.

    Parameters
    ----------
    found : ModelReport
        The report.

    Returns
    -------
    str
        HTML.
    """
    data = found.data
    names = [
        "loss", "loss_error", "own_error", "interference", "collective",
        *(name for name in ("noise", "decay", "l1") if name in data), "gap", "status", "best_geometry",
        "best_sharing", "geometry", "sharing", "arrangement",
    ]  # fmt: skip
    rows = [[str(k), *(cell(data[name].values[k]) for name in names)] for k in range(data.sizes["instance"])]
    picture = image(found.draw(), "W, couplings, dimensionalities and balance of the models")
    return f"{table(['model', *(name.replace('_', ' ') for name in names)], rows)}<p>{picture}</p>"


def save_report(found: "ModelReport", folder: "str | Path", name: str = "report") -> list[Path]:
    """
    Write a report's picture, table, numbers and page.

    Parameters
    ----------
    found : ModelReport
        The report.
    folder : path
        Where to; made if it is not there.
    name : str
        File name without ending.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OSError
        If the folder cannot be made or written.
    """
    with results_folder(folder, [f"{name}.html"], overwrite=True) as where:
        return _saved(found, where, name)


def _saved(found: "ModelReport", where: Path, name: str) -> list[Path]:
    paths = {suffix: where / f"{name}.{suffix}" for suffix in ("html", "png", "svg", "csv", "nc")}
    figure = found.draw()
    for suffix in ("png", "svg"):
        save_picture(figure, paths[suffix])
    features = found.table()
    write(paths["csv"], features.to_csv())
    save_result(found.data, paths["nc"])
    shown = features.reset_index().head(_ROWS)
    rows = [[cell(value) for value in row] for row in shown.itertuples(index=False)]
    note = (
        f"<p>The first {_ROWS} of {len(features)} rows; {paths['csv'].name} has all.</p>"
        if len(features) > _ROWS
        else ""
    )
    bias = "<p>No b was given: every model has the best biases for its W.</p>" if found.data.attrs["best_bias"] else ""
    write(
        paths["html"],
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{_STYLE}</head><body>'
        f"<h1>What the exact theory says</h1>{bias}{summary_html(found)}"
        "<p>Losses are exact, summed over features and weighted by importance. Gap: loss / best known loss - 1, in "
        "units of the zero model's loss where the best is zero. Sharing: the features of every factor. Arrangement: as "
        "the best, where a relabelling that changes nothing in the problem makes them the same. Worth: by how much the "
        "loss would rise if the feature were left out.</p>"
        f"<h2>Features</h2>{table([str(c).replace('_', ' ') for c in shown.columns], rows)}{note}</body></html>\n",
    )
    return list(paths.values())
