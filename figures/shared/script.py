"""What every figure script shares: its options, its style, and saving the numbers beside the picture.

A script has three functions and one line:

    def compute(settings: Settings) -> xr.Dataset: ...
    def draw(data: xr.Dataset) -> Figure: ...
    def judge(data: xr.Dataset) -> list[Verdict]: ...

    if __name__ == "__main__":
        main(__doc__, compute, draw, __file__)

``compute`` does all the work through the packages' own functions; ``draw`` needs nothing but its dataset, so that a
saved dataset can be drawn again; ``judge`` says what its numbers mean for the documents' claims
(figures.shared.verdicts).
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from theory.tools import storage
from theory.tools.arguments import non_negative_count, writable_directory
from theory.tools.command import Parser, run_command, tell
from theory.tools.parallel import Workers

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "SCRIPTS",
    "Settings",
    "check_foreign",
    "headline",
    "load",
    "main",
    "new_figure",
    "obtain",
    "save",
]

# The hues of Okabe and Ito's palette, told apart by colour-blind readers; their lightnesses, 32, 73, 53, 61, 76 and 43
# of 100, are told apart in print without colours. Black last.
COLOURS = ("#004C86", "#EDA500", "#008F68", "#CC79A7", "#7CC4F0", "#B83A0B", "#8C8C8C", "#000000")
FORMATS = ("png", "svg", "pdf")
# Every script in this folder, in the order of the claims that it judges.
SCRIPTS = (
    "superposition_demo",
    "benefit_and_interference",
    "phase_diagram",
    "staircase",
    "polytopes",
    "loss_crossover",
    "basins",
    "correlated_features",
    "pca_collapse",
    "learning_dynamics",
    "privileged_basis",
    "almost_orthogonal",
    "compressed_sensing",
    "linear_against_relu",
    "nonuniform_sparsity",
    "polygons",
    "absolute_value",
    "conditions",
    "energy_levels",
    "shared_factors",
    "finite_data",
    "scaling",
)


@dataclass(frozen=True)
class Settings:
    """
    How a figure is computed.

    Attributes
    ----------
    quick : bool
        A small version of the same figure, in seconds.
    seed : int
        Seed of everything random.
    workers : int or str
        Processes to use, or the address of a Dask scheduler; results do not depend on it.
    """

    quick: bool = False
    seed: int = 0
    workers: Workers = 2


Compute = Callable[[Settings], "xr.Dataset"]
Draw = Callable[["xr.Dataset"], "Figure"]


def new_figure(width: float = 9.0, height: float = 4.5) -> "Figure":
    """
    Make an empty figure in the project's style.

    Parameters
    ----------
    width, height : float
        Size in inches; legible at half of it.

    Returns
    -------
    matplotlib.figure.Figure
        White, 150 dots per inch, constrained layout.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=150, facecolor="white")


def headline(figure: "Figure", finding: str) -> None:
    """
    Give a picture its finding as the title, wrapped to its width.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture.
    finding : str
        What its numbers say, in a sentence or two.
    """
    letters = int(8.6 * figure.get_figwidth())
    figure.suptitle(fill(finding, letters), fontsize=13, fontweight="bold", x=0.01, ha="left")


def save(data: "xr.Dataset", figure: "Figure", folder: Path, name: str, suffix: str = "png") -> list[Path]:
    """
    Save a picture and its numbers side by side.

    Parameters
    ----------
    data : xarray.Dataset
        The numbers, with the settings that made them.
    figure : matplotlib.figure.Figure
        The picture.
    folder : Path
        Where to.
    name : str
        File name without ending.
    suffix : {"png", "svg", "pdf"}
        Format of the picture.

    Returns
    -------
    list of Path
        The files written.
    """
    picture, numbers = folder / f"{name}.{suffix}", folder / f"{name}.nc"
    storage.save_result(data, numbers)
    storage.save_picture(figure, picture)
    return [picture, numbers]


def labelled(data: "xr.Dataset", name: str, settings: Settings) -> "xr.Dataset":
    """Note in the dataset what made it."""
    # Where it was computed makes no difference.
    told = {"quick": settings.quick, "seed": settings.seed}
    made_by = {"figure": name, "settings": json.dumps(told), "version": version("superposition-theory")}
    return data.assign_attrs({**data.attrs, **made_by})


def load(folder: Path, name: str, settings: Settings) -> "xr.Dataset | None":
    """
    Read a figure's numbers, if they were made with the same settings and version.

    Parameters
    ----------
    folder : Path
        Where they were saved.
    name : str
        Name of the figure.
    settings : Settings
        The settings asked for; the number of workers does not matter.

    Returns
    -------
    xarray.Dataset or None
        None if there are none, or others.
    """
    path = folder / f"{name}.nc"
    if not path.exists():
        return None
    try:
        data = storage.load_result(path)
        made = json.loads(data.attrs["settings"])
        same = (made["quick"], made["seed"]) == (settings.quick, settings.seed) and data.attrs["figure"] == name
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return data if same and data.attrs.get("version") == version("superposition-theory") else None


def obtain(name: str, folder: Path, settings: Settings) -> "tuple[xr.Dataset, bool]":
    """
    Give a figure's numbers: as they were saved, or computed, drawn and saved now.

    Parameters
    ----------
    name : str
        Name of the script.
    folder : Path
        Where results are kept.
    settings : Settings
        How to compute.

    Returns
    -------
    data : xarray.Dataset
        The numbers, labelled with the settings that made them.
    computed : bool
        Whether they had to be computed.
    """
    data = load(folder, name, settings)
    script = import_module(f"figures.{name}")
    if data is not None:
        if not (folder / f"{name}.png").exists():  # interrupted between the two
            save(data, script.draw(data), folder, name)
        return data, False
    data = labelled(script.compute(settings), name, settings)
    save(data, script.draw(data), folder, name)
    return data, True


def check_foreign(names: Iterable[str], folder: Path, overwrite: bool) -> None:
    """Refuse, before any work, to replace files that no figure script wrote."""
    for name in names:
        storage.check_outputs(folder, [f"{name}.nc", f"{name}.png"], overwrite, name)


def main(description: str | None, compute: Compute, draw: Draw, script: str, argv: Sequence[str] | None = None) -> None:
    """
    Run a figure script: read its options, compute, draw, save.

    Parameters
    ----------
    description : str
        The script's docstring; its first line is shown by ``--help``.
    compute, draw : callable
        The script's two functions.
    script : str
        Its path; its stem names the results.
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Raises
    ------
    SystemExit
        With code 2 and one line on stderr for bad input.
    """
    name = Path(script).stem

    def run(arguments: Sequence[str] | None) -> None:
        parser = Parser((description or name).strip().splitlines()[0], prog=f"figures/{name}.py")
        parser.add_argument("--output", type=writable_directory, default=Path(), help="folder for picture and numbers")
        parser.add_argument("--quick", action="store_true", help="a small version of the same figure, in seconds")
        parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of everything random")
        parser.add_workers()
        parser.add_overwrite()
        parser.add_argument("--format", choices=FORMATS, default="png", help="format of the picture")
        options = parser.parse_args(arguments)
        settings = Settings(options.quick, options.seed, options.workers)
        names = [f"{name}.nc", f"{name}.{options.format}"]
        with storage.results_folder(options.output, names, options.overwrite, name) as folder:
            data = labelled(compute(settings), name, settings)
            paths = save(data, draw(data), folder, name, options.format)
        for path in paths:
            tell(path)
        if "summary" in data.attrs:
            tell(data.attrs["summary"])

    run_command(run, f"figures/{name}.py", argv)
