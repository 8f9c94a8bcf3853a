"""Interactive explorer: a page that shows the best geometry at a click and morphs it as a density changes.

``python -m figures.explorer --output explorer.html`` writes a self-contained page: plotly's script is inlined, and all
numbers are exact and computed beforehand (figures/parts/explorer.json; ``--compute`` computes them anew).
"""

from figures.shared.script import main as _first  # noqa: F401  # guards the command against signals

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from theory.tools.command import Parser, run_command, tell
from theory.tools.storage import check_output, write

__all__ = ["main", "page"]

_COMMAND = "python -m figures.explorer"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser("The explorer: phase diagrams that show their geometries.", prog=_COMMAND)
    parser.add_argument("--output", type=Path, default=Path("explorer.html"), help="the page to write")
    parser.add_argument("--compute", action="store_true", help="compute the numbers anew, in about ten minutes, and "
                        "keep them beside the page (.json)")  # fmt: skip
    parser.add_workers()
    parser.add_overwrite()
    options = parser.parse_args(argv)
    check_output(options.output, options.overwrite, _COMMAND)
    if not options.output.absolute().parent.is_dir():
        raise ValueError(f"cannot write to {options.output}: its folder does not exist")
    data = None
    if options.compute:
        from figures.parts.explorer_data import compute

        data = json.dumps(compute(options.workers), separators=(",", ":"))
        write(options.output.with_suffix(".json"), data + "\n")
    write(options.output, page(data))
    tell(options.output)


def page(data: str | None = None) -> str:
    """
    Put the page together.

    Parameters
    ----------
    data : str, optional
        Its numbers as JSON; those of the package by default.

    Returns
    -------
    str
        HTML that needs no network.

    Raises
    ------
    ValueError
        If plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ValueError('plotly is not installed; python -m pip install "plotly>=6"') from None
    parts = files("figures.parts")
    numbers = (parts / "explorer.json").read_text("utf-8") if data is None else data
    template = (parts / "explorer.html").read_text("utf-8")
    return template.replace("/*plotly*/", get_plotlyjs()).replace("/*data*/", numbers.strip())


if __name__ == "__main__":
    run_command(main, _COMMAND)
