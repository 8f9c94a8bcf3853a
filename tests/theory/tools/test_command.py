"""Bars that say what long work does, whether its steps end or not."""

import io
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


def _wait_for(text: str, terminal: _Terminal) -> bool:
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
