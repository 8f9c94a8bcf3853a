"""The command ``python -m theory.transitions``: the table of crossings between uniform geometries."""

from collections.abc import Sequence
from pathlib import Path

from theory.tools.command import Parser, count, make_folder, run_command, writable_directory

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
    options = parser.parse_args(argv)
    from theory.transitions.crossing_page import write_table
    from theory.transitions.crossing_table import crossing_table

    make_folder(options.output)  # before the work, lest it be in vain
    table = crossing_table(options.n_max, options.m_max)
    command = f"{parser.prog} --n-max {options.n_max} --m-max {options.m_max}"
    for path in write_table(table, options.output, command):
        print(path)  # noqa: T201


if __name__ == "__main__":
    run_command(main, "python -m theory.transitions")
