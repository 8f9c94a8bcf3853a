"""Sphinx settings of the documentation."""

import re
from importlib.metadata import version as installed_version
from pathlib import Path

project = "superposition-theory"
author = "The superposition-theory developers"
copyright = f"2026, {author}"
version = release = installed_version("superposition-theory")

extensions = [
    "myst_nb",  # Markdown; notebooks are executed in the build
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx-mathjax-offline",  # formulas render without a network
]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_in_temp = True
nb_ipywidgets_js = {}  # pages ask for nothing from a network
exclude_patterns = ["_build"]
templates_path = ["_templates"]
autodoc_typehints = "none"  # shapes and types stand in the docstrings
napoleon_google_docstring = False
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # attributes such as n, W and b belong to several classes
html_theme = "furo"
html_title = "superposition-theory"
html_show_sphinx = False


def escape_plain_mathematics(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Docstrings write |W_i| and (*batch, n) as people read them; to reStructuredText these are markup."""
    for k, line in enumerate(lines):
        if ">>>" not in line:
            parts = re.split(r"(``.*?``)", line)  # literals stay as they are
            parts[::2] = [
                re.sub(r"\*(?=batch|runs)", r"\\*", p.replace("|", r"\|")).replace(" * ", r" \* ") for p in parts[::2]
            ]
            lines[k] = "".join(parts)


def write_explorer(app, exception):  # type: ignore[no-untyped-def]
    """Put the interactive page beside the others."""
    if exception is None and app.builder.format == "html":
        from figures.explorer import page

        (Path(app.outdir) / "interactive.html").write_text(page(), encoding="utf-8")


def write_notebooks(app, exception):  # type: ignore[no-untyped-def]
    """Put the notebooks beside their pages, to download and run."""
    if exception is None and app.builder.format == "html":
        import nbformat
        from myst_nb.core.read import read_myst_markdown_notebook
        from myst_parser.config.main import MdParserConfig

        for page in sorted((Path(app.srcdir) / "notebooks").glob("*.md")):
            notebook = read_myst_markdown_notebook(
                page.read_text("utf-8"), MdParserConfig(enable_extensions=myst_enable_extensions)
            )
            nbformat.write(notebook, Path(app.outdir) / "notebooks" / f"{page.stem}.ipynb")


def setup(app):  # type: ignore[no-untyped-def]
    """Register the escape before napoleon reads the docstrings, and the explorer after everything."""
    app.connect("build-finished", write_explorer)
    app.connect("build-finished", write_notebooks)
    app.connect("autodoc-process-docstring", escape_plain_mathematics, priority=100)
