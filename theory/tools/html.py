"""Pieces of HTML that pages and notebooks share: tables that scroll, numbers, pictures inside the page."""

import base64
import html
import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cell", "facts", "image", "table"]


def cell(value: object) -> str:
    """
    Write a value as a cell: six digits of a number, text escaped.

    Parameters
    ----------
    value : object
        Number, NumPy scalar or text.

    Returns
    -------
    str
        HTML.
    """
    if hasattr(value, "item"):
        value = value.item()
    return f"{value:.6g}" if isinstance(value, float) else html.escape(str(value))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """
    Write a table that scrolls sideways where it is too wide.

    Parameters
    ----------
    head : iterable of str
        Names of the columns.
    rows : iterable of iterable of str
        Cells, as HTML.

    Returns
    -------
    str
        HTML.
    """
    line = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{one}</td>" for one in row) + "</tr>" for row in rows)
    return (
        f'<div class="wide" style="overflow-x: auto"><table><thead><tr>{line}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def facts(named: Mapping[str, object]) -> str:
    """
    Write named values as a table of two columns.

    Parameters
    ----------
    named : mapping of str to object
        Values by name.

    Returns
    -------
    str
        HTML.
    """
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{cell(value)}</td></tr>" for name, value in named.items())
    return f"<table>{rows}</table>"


def image(figure: "Figure", text: str, width: int | None = None) -> str:
    """
    Put a picture into the page itself.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture.
    text : str
        What it shows, for those who cannot see it.
    width : int, optional
        In pixels.

    Returns
    -------
    str
        HTML.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    size = "" if width is None else f' width="{width}"'
    code = base64.b64encode(picture.getvalue()).decode()
    return f'<img alt="{html.escape(text, quote=True)}"{size} src="data:image/png;base64,{code}">'
