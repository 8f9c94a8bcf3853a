"""What a notebook shows: solutions with a picture, formulas as LaTeX, figures, and losses as tables."""

import base64
import re
import xml.dom.minidom
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import theory
from theory.symbolic import derive_expansion, derive_outputs
from theory.symbolic.pair import derive_pair_boundary

PAIR = theory.Problem(n=2, m=1, density=0.1)


def solutions() -> list[tuple[Any, str]]:
    """Every kind of solution, and its geometry."""
    best = theory.global_optimum(PAIR)
    return [
        (best, "digon"),
        (best.minima[0], "digon"),
        (theory.optimise(PAIR, "digon"), "digon"),
        (theory.optimise_polytope("pentagon", 0.05), "pentagon"),
        (theory.best_tegum_product(5, 2, 0.05), "pentagon"),
    ]


@pytest.mark.parametrize("which", range(5))
def test_a_solution_shows_its_geometry_its_loss_and_a_picture(which: int) -> None:
    found, geometry = solutions()[which]
    shown = found._repr_html_()
    xml.dom.minidom.parseString(re.sub(r"(<img[^>]*)>", r"\1/>", shown))  # every tag is closed
    assert f">{geometry}<" in shown
    assert f"{found.loss:.10g}" in shown
    picture = re.search(r'src="data:image/png;base64,([^"]+)"', shown)
    assert picture is not None
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG")


def test_branches_and_crossings_are_shown() -> None:
    wide = theory.Problem(n=2, m=1, density=0.1)
    branch = theory.follow(wide, theory.optimise(wide, "digon"), "density", stop=0.2, points=4)
    assert "digon" in branch._repr_html_()
    ax = Figure().subplots()
    assert branch.draw(ax) is ax.figure
    between = theory.Problem(n=2, m=1, density=0.3)
    (crossing,) = theory.crossover_between(between, "digon", "dedicated", "relative importance", 0.05, 0.9)
    assert f"{crossing.value:.10g}" in crossing._repr_html_()


@pytest.mark.parametrize(
    ("formula", "part"),
    [
        (theory.derive_candidates(2, 1)["antipodal"], r"L_{\text{antipodal}} = "),
        (theory.derive_boundaries(2, 1)[0], "="),
        (theory.derive_linear_loss(2), "L = "),
        (theory.derive_one_sparse_loss(2), "L_1 = "),
        (derive_expansion(theory.derive_candidates(2, 1)["antipodal"].ideal_embedding, [0, 0], [1, 1]), "L = "),
        (derive_pair_boundary(), "p = "),
        (derive_pair_boundary("normal"), r"\text{pair}"),
        (theory.derive_candidates(2, 1)["antipodal"].near_ideal, r"\frac"),
        (theory.derive_meeting_points(2, 1)[0], "L = "),
        (next(iter(derive_outputs().values())).expansion, "L = "),
    ],
)
def test_a_formula_is_typeset(formula: Any, part: str) -> None:
    shown = formula._repr_latex_()
    assert shown.startswith("$")
    assert shown.endswith("$")
    assert part in shown
    assert shown.count("{") == shown.count("}")


def test_figures_display_themselves_and_use_the_axes_they_are_given() -> None:
    W = np.random.default_rng(0).standard_normal((2, 5))
    data = theory.exact_phase_diagram(2, 1, resolution=3)
    lines = theory.curves(PAIR, ["digon", "dedicated"], "relative importance", [0.1, 0.3, 1.0])
    verdict = theory.report([[1.0, -1.0]], None, PAIR)
    for draw in (
        lambda ax: theory.draw_embedding(W, ax),
        lambda ax: theory.draw_embedding(W[:1], ax),
        lambda ax: theory.draw_couplings(W, ax),
        lambda ax: theory.draw_phase_diagram(data, ax=ax),
        lambda ax: theory.draw_curves(lines, ax, excess=True),
    ):
        assert draw(None)._repr_png_().startswith(b"\x89PNG")
        figure = Figure()
        ax = figure.add_subfigure(figure.add_gridspec(1, 1)[0]).subplots()  # also inside a subfigure
        assert draw(ax) is figure
        assert ax.lines or ax.images or ax.collections or ax.texts
    assert verdict.draw()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="choose one of the batch"):
        theory.draw_embedding(np.stack([W, W]))


def test_curves_are_the_optimised_losses() -> None:
    problem = theory.Problem(n=5, m=2, density=0.1, importance=[1, 1, 1, 1, 0.8])
    found = theory.curves(problem, ["pentagon", "2 digon"], values=[0.02, 0.1, 0.3])
    for name in ("pentagon", "2 digon + unrepresented"):
        for p in (0.1, 0.3):
            there = theory.optimise(problem.with_density(p), name)
            loss = float(found["loss"].sel(geometry=name, density=p))
            if there.stability != "saddle":
                assert abs(loss - there.loss) < 1e-9 * there.loss
    assert (found["excess"].min("geometry") == 0).all()
    table = found.to_dataframe()
    assert list(table.index.names) == ["geometry", "density"]
    assert list(table.columns) == ["loss", "excess", "curvature", "best"]


def test_curves_refuse_what_they_cannot_follow() -> None:
    with pytest.raises(ValueError, match="must be names such as"):
        theory.curves(PAIR, "digon")
    with pytest.raises(ValueError, match="rise"):
        theory.curves(PAIR, ["digon"], values=[0.2, 0.1])
    with pytest.raises(ValueError, match="density"):
        theory.curves(PAIR, ["digon"], values=[0.2, 1.5])
