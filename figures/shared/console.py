"""The console script ``superposition``: the commands of ``python -m`` as subcommands."""

from figures.shared.script import SCRIPTS

import sys
from importlib import import_module

from theory.tools.command import tell

__all__ = ["COMMANDS", "main"]

# Subcommand, its module, and what it does.
COMMANDS = {
    "phase-diagram": ("theory.phase_diagram.__main__", "the exact phase diagram of an extra feature"),
    "derive": ("theory.derive", "closed forms, by SymPy"),
    "transitions": ("theory.transitions.__main__", "all crossings of uniform geometries"),
    "criterion": ("theory.search.criterion", "which features are stored"),
    "one-sparse": ("theory.optimum.one_sparse", "optima in the one-sparse limit"),
    "product-table": ("theory.search.product_table", "where no product of named polytopes is best"),
    "irreducible": ("theory.search.irreducible", "search for optima without a name"),
    "even-table": ("theory.packing.even_table", "even frames, products and their mixtures"),
    "best-known": ("theory.search.best_known", "best known losses of large problems"),
    "agreement": ("numerics.agreement.__main__", "train models, or judge those of a file, beside the exact theory"),
    "sweep": ("numerics.sweep.__main__", "many trained models, resumable"),
    "figures": ("figures.__main__", "all figures of the claims"),
    "claims": ("figures.claims", "the page of claims"),
    "explorer": ("figures.explorer", "the interactive page"),
}


def main() -> None:
    """Run a subcommand with the rest of the arguments."""
    from theory.tools.command import run_command

    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
        figures = ", ".join(SCRIPTS)
        tell("usage: superposition COMMAND [--help] ...\n\n" + "\n".join(lines) + f"\n\nor a figure: {figures}")
        return
    if arguments[0] == "--version":
        import theory

        tell(theory.__version__)
        return
    name, rest = arguments[0], arguments[1:]
    if name in SCRIPTS:
        sys.argv = [f"figures/{name}.py", *rest]
        script = import_module(f"figures.{name}")
        from figures.shared.script import main as draw

        draw(script.__doc__, script.compute, script.draw, script.__file__ or name, rest)
        return

    def run(given: object) -> None:
        if name not in COMMANDS:
            raise ValueError(f"unknown command {name!r}; give one of {', '.join((*COMMANDS, *SCRIPTS))}")
        import_module(COMMANDS[name][0]).main(rest)

    run_command(run, f"superposition {name}", rest)
