"""The command ``python -m theory.transitions``: the table of crossings between uniform geometries."""

from collections.abc import Sequence
from pathlib import Path

from theory.tools.arguments import count, writable_directory
from theory.tools.command import Parser, run_command, tell

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser(
        "Table of all crossings between uniform geometries (equal features) against the density.",
        prog="python -m theory.transitions",
    )
    parser.add_argument("--n-max", type=count, default=9, help="largest number of features, 2 to 9")
    parser.add_argument("--m-max", type=count, default=3, help="largest number of hidden dimensions, 1 to 4")
    parser.add_argument("--output", type=writable_directory, default=Path(), help="folder for table and numbers")
    parser.add_overwrite()
    options = parser.parse_args(argv)
    from theory.tools.storage import results_folder
    from theory.transitions.crossing_page import NAMES, write_table
    from theory.transitions.crossing_table import check_sizes, crossing_table

    check_sizes(options.n_max, options.m_max)
    with results_folder(options.output, NAMES, options.overwrite, parser.prog) as folder:
        table = crossing_table(options.n_max, options.m_max)
        command = f"{parser.prog} --n-max {options.n_max} --m-max {options.m_max}"
        paths = write_table(table, folder, command)
    tell("\n".join(map(str, paths)))


if __name__ == "__main__":
    run_command(main, "python -m theory.transitions")
