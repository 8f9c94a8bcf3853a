"""The explorer in a real browser: click, slide, read losses, without a network, on a phone, without an error."""

import json
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figures.explorer import main, page
from figures.parts.explorer_data import compute_row
from theory import Problem, global_optimum, optimise, parse_geometry
from theory.geometry.recognition import recognise

DATA = json.loads((files("figures.parts") / "explorer.json").read_text("utf-8"))
IN_BROWSER = pytest.mark.skipif(not shutil.which("chromium"), reason="NOT TESTED IN A BROWSER: no chromium found")


def problem_at(case: int, row: int, stop: int) -> Problem:
    n, m = DATA["cases"][case]["n"], DATA["cases"][case]["m"]
    return Problem(n=n, m=m, density=[DATA["cases"][case]["p"][row]] * (n - 1) + [DATA["q"][stop]])


def stored_best(case: int, row: int, stop: int) -> tuple[float, str]:
    """Least loss of the stored branches at a stop, and what it looks like."""
    found = []
    for branch in DATA["cases"][case]["rows"][row]["branches"]:
        k = stop - branch["first"]
        if 0 <= k < len(branch["loss"]):
            found.append((branch["loss"][k], branch["looks"][k]))
    return min(found)


def loss_of(problem: Problem, name: str) -> float:
    """Loss of a geometry: optimised under its name, or if it has none in the catalogue the global search's."""
    try:
        parse_geometry(name)
    except ValueError:
        return global_optimum(problem).loss
    return optimise(problem, name).loss


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("plotly", reason="NOT TESTED: plotly is not installed")
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    main(["--output", str(path)])
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="NOT TESTED IN A BROWSER: playwright is not installed")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser: Any, written: Path, **settings: Any) -> tuple[Any, list[str]]:
    """The page, with the network off, and the list that its complaints go to."""
    context = browser.new_context(offline=True, **settings)
    context.set_default_timeout(240_000)  # milliseconds: nothing here is about speed, and other tests run beside it
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    local = ("file:", "data:", "blob:")
    tab.on("request", lambda one: None if one.url.startswith(local) else said.append(one.url))
    tab.goto(written.as_uri())
    tab.wait_for_selector("#diagram .main-svg")
    return tab, said


def test_the_page_is_small_and_asks_for_nothing_else(written: Path) -> None:
    text = written.read_text("utf-8")
    assert len(text.encode()) < 15e6
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="http', text)


@pytest.mark.slow
@IN_BROWSER
def test_losses_read_at_random_stops_are_those_of_optimise(browser: Any, written: Path) -> None:
    tab, said = opened(browser, written)
    rng = np.random.default_rng(0)
    for _ in range(20):
        case, stop = int(rng.integers(len(DATA["cases"]))), int(rng.integers(len(DATA["q"])))
        row = int(rng.integers(len(DATA["cases"][case]["p"])))
        tab.select_option("#case", str(case))
        for name, value in (("p", row), ("q", stop)):
            tab.locator(f"#{name}").fill(str(value))
        read = float(tab.locator("#verdict").get_attribute("data-loss"))
        exact = loss_of(problem_at(case, row, stop), tab.locator("#verdict").get_attribute("data-geometry"))
        assert abs(read - exact) < 1e-6 * exact, (case, row, stop)
        shown = tab.locator("#branches tr.best td").first.text_content()
        assert shown == tab.locator("#verdict").get_attribute("data-geometry")
    assert said == []


@pytest.mark.slow
@IN_BROWSER
def test_a_click_selects_and_the_slider_is_moved_by_the_keyboard(browser: Any, written: Path) -> None:
    tab, said = opened(browser, written)
    before = tab.locator("#verdict").text_content()
    box = tab.locator("#diagram .nsewdrag").first.bounding_box()
    tab.mouse.click(box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"])
    tab.wait_for_function("before => document.getElementById('verdict').textContent !== before", arg=before)
    row, stop = int(tab.locator("#p").input_value()), int(tab.locator("#q").input_value())
    assert row > len(DATA["cases"][-1]["p"]) / 2
    assert stop < 0.2 * len(DATA["q"])
    tab.locator("#q").focus()
    tab.keyboard.press("ArrowRight")
    assert int(tab.locator("#q").input_value()) == stop + 1
    loss, geometry = stored_best(len(DATA["cases"]) - 1, row, stop + 1)
    assert float(tab.locator("#verdict").get_attribute("data-loss")) == loss
    assert tab.locator("#verdict").get_attribute("data-geometry") == geometry
    assert said == []


@pytest.mark.slow
@IN_BROWSER
def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, written: Path) -> None:
    tab, said = opened(browser, written, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    for name in ("#diagram", "#arrows", "#curves", "#branches", "#couplings"):
        width = tab.locator(name).bounding_box()["width"]
        assert width > 100, name
    tab.locator("#diagram .nsewdrag").first.tap()
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(DATA["cases"])))
def test_the_best_stored_branch_is_the_global_optimum(case: int) -> None:
    rng = np.random.default_rng(case)
    for _ in range(2):
        row, stop = int(rng.integers(len(DATA["cases"][case]["p"]))), int(rng.integers(len(DATA["q"])))
        found = global_optimum(problem_at(case, row, stop))
        above = stored_best(case, row, stop)[0] / found.loss - 1
        assert abs(above) < 1e-6, (row, stop, found.geometry)


def test_a_stored_row_is_computed_again() -> None:
    stops = [0, 15, 30]
    again = compute_row(2, 1, DATA["cases"][0]["p"][1], [DATA["q"][k] for k in stops])
    for k, stop in enumerate(stops):
        losses = [b["loss"][k - b["first"]] for b in again["branches"] if 0 <= k - b["first"] < len(b["loss"])]
        assert abs(min(losses) / stored_best(0, 1, stop)[0] - 1) < 1e-9


def test_names_are_those_of_the_shapes_that_are_shown() -> None:
    for branch in DATA["cases"][-1]["rows"][0]["branches"]:
        assert recognise(branch["W"][0]).name == branch["looks"][0]


def test_a_missing_plotly_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
    with pytest.raises(ValueError, match="plotly is not installed"):
        page()
