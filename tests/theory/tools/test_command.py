"""Bars that say what long work does, whether its steps end or not."""

import io
import os
import time
from contextlib import redirect_stderr

import pytest

from theory.tools import command
from theory.tools.command import progress, ticking_bar


class _Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    shown = _Terminal()
    monkeypatch.setattr(command, "_DELAY", 0.01)
    monkeypatch.setattr(command, "_TICK", 0.02)
    return shown


def _wait_for(text: str, terminal: io.StringIO) -> bool:
    end = time.monotonic() + 5
    while text not in terminal.getvalue() and time.monotonic() < end:
        time.sleep(0.01)
    return text in terminal.getvalue()


def test_a_first_step_that_takes_long_is_announced_before_it_ends(terminal: _Terminal) -> None:
    with redirect_stderr(terminal):
        for k in progress([0, 1, 2, 3], label="searches"):
            assert _wait_for(f"searches: {25 * k:3d}%", terminal)
            terminal.truncate(0)
            assert _wait_for(f"searches: {25 * k:3d}%", terminal), "the clock stands still"


def test_work_without_steps_says_what_it_is_and_clears_its_line(terminal: _Terminal) -> None:
    with redirect_stderr(terminal), ticking_bar("exact losses", 1):
        assert _wait_for("exact losses [00:00]", terminal)
    assert terminal.getvalue().endswith("\r")
    assert not terminal.getvalue().split("\r")[-2].strip()


def test_short_work_and_unwanted_bars_write_nothing(terminal: _Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with redirect_stderr(terminal), ticking_bar("unwanted", 1, wanted=False):
        time.sleep(0.1)
    monkeypatch.setattr(command, "_DELAY", 60)
    with redirect_stderr(terminal), ticking_bar("short", 1):
        time.sleep(0.1)
        assert list(progress(range(3))) == [0, 1, 2]
    assert not terminal.getvalue()


def test_a_bar_ends_with_its_work(terminal: _Terminal) -> None:
    def work() -> None:
        with ticking_bar("work", 3):
            assert _wait_for("work:   0%", terminal)
            raise RuntimeError("broken")

    with redirect_stderr(terminal), pytest.raises(RuntimeError, match="broken"):
        work()
    written = terminal.getvalue()
    time.sleep(0.1)
    assert terminal.getvalue() == written


def test_a_bar_counts_what_it_names(terminal: _Terminal) -> None:
    with redirect_stderr(terminal):
        for k in progress("ab", label="searches", sizes=[3, 5]):
            assert _wait_for("0/8" if k == "a" else "3/8", terminal)


def test_a_file_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_QUIET", 0.0), ("_BRIEF", 0.02), ("_SILENCE", 0.05)):
        monkeypatch.setattr(command, name, seconds)
    file = io.StringIO()
    with redirect_stderr(file):
        for done in progress([0, 3, 8], label="searches", sizes=[3, 5, 2]):
            assert _wait_for(f"searches: {done} of 10 done after 0 s", file)
        with ticking_bar("exact losses", 1):
            assert _wait_for("exact losses: not done after 0 s", file)
        with ticking_bar("stages") as step:
            step()
            assert _wait_for("stages: 1 done after 0 s", file)
    lines = file.getvalue().splitlines()
    assert "searches: 3 of 10 done after 0 s, about 0 s left" in lines
    assert len(lines) < 40


def test_quick_work_leaves_a_file_empty() -> None:
    file = io.StringIO()
    with redirect_stderr(file), ticking_bar("work", 3) as step:
        time.sleep(0.1)
        step()
    assert not file.getvalue()


def test_how_much_is_left_follows_from_what_was_done() -> None:
    assert command._told("cells", 40, 10, 600.0) == "cells: 10 of 40 done after 10 min, about 30 min left"
    assert command._told("cells", 40, 10, 9000.0) == "cells: 10 of 40 done after 2 h, about 8 h left"
    assert command._told("cells", 40, 0, 70.0) == "cells: 0 of 40 done after 70 s"


def test_a_terminal_without_a_width_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    pty = pytest.importorskip("pty")
    monkeypatch.setattr(command, "_DELAY", 0.01)
    monkeypatch.setattr(command, "_TICK", 0.02)
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    with open(theirs, "w") as terminal:
        with redirect_stderr(terminal), ticking_bar("searches", 8) as step:
            step(3)
            time.sleep(0.3)
        shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "searches:  38%" in shown
    assert "3/8" in shown
