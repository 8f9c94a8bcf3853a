"""Dask as it is used: scheduler, workers and command are processes of their own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.processes import ROOT, clear, ended, free_port, left_over, run, start, wait_for
from theory import Problem, global_optimum
from theory.tools.parallel import Failure, spread

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("at_full_speed")]

SWEEP = ["-m", "numerics.sweep", "--resolution", "4", "--instances", "32", "--steps", "1500"]
NAME = "sweep_n2_m1.nc"
ANOTHER = "9.9.9"


def is_open(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def scheduler(place: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    program = "distributed.cli.dask_scheduler"
    process = start(["-m", program, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], place)
    try:
        assert wait_for(lambda: is_open(port))
        yield process
    finally:
        clear(process)


def names_of_workers(dask_scheduler: Any) -> list[str]:
    return [worker.name for worker in dask_scheduler.workers.values()]


@contextmanager
def worker(place: Path, address: str, name: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    program = ["-m", "distributed.cli.dask_worker", address, "--name", name]
    options = ["--nthreads", "1", "--no-dashboard", "--no-nanny"]
    process = start([*program, *options], place, DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="3s", **environment)
    try:
        with distributed.Client(address, set_as_default=False) as client:
            assert wait_for(lambda: name in client.run_on_scheduler(names_of_workers))
        yield process
    finally:
        clear(process)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    """A cluster of two workers."""
    port = free_port()
    with scheduler(place, port), ExitStack() as workers:
        for name in ("one", "two"):
            workers.enter_context(worker(place, f"tcp://127.0.0.1:{port}", name))
        yield f"tcp://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def whole(place: Path) -> bytes:
    """The sweep's result without a cluster."""
    assert run([*SWEEP, "--output", "whole"], place)[0] == 0
    return (place / "whole" / NAME).read_bytes()


def some_pieces(folder: Path) -> Callable[[], bool]:
    return lambda: len(list(folder.glob(f"{NAME}.cache/*.nc"))) >= 2


@contextmanager
def work_for(address: str) -> Iterator[None]:
    """What happens inside gives the cluster something to do: equal results could have been computed here."""

    def steps() -> int:
        with distributed.Client(address, set_as_default=False) as client:
            return int(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter))

    before = steps()
    yield
    assert steps() > before


def test_a_sweep_that_loses_a_worker_ends_with_the_same_file(place: Path, whole: bytes) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with scheduler(place, port), worker(place, address, "one"), worker(place, address, "two") as victim:
        command = start([*SWEEP, "--dask", address, "--output", "one_less"], place)
        assert wait_for(some_pieces(place / "one_less"))
        os.kill(victim.pid, signal.SIGKILL)
        code, out, err = ended(command)
    assert (code, out.splitlines()[-1], err) == (0, f"one_less/{NAME}", "")
    assert (place / "one_less" / NAME).read_bytes() == whole


def test_a_lost_scheduler_is_one_line_and_the_same_command_resumes(place: Path, whole: bytes) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    sweep = [*SWEEP, "--dask", address, "--output", "lost"]
    with scheduler(place, port) as first, worker(place, address, "one"):
        command = start(sweep, place)
        assert wait_for(some_pieces(place / "lost"))
        os.kill(first.pid, signal.SIGKILL)
        code, _, err = ended(command)
    assert (code, err) == (1, f"python -m numerics.sweep: the Dask scheduler at {address} was lost\n")
    assert not (place / "lost" / NAME).exists()
    kept = {path: path.stat().st_mtime_ns for path in (place / "lost").glob(f"{NAME}.cache/*.nc")}
    assert len(kept) >= 2
    with scheduler(place, port), worker(place, address, "one"):
        code, out, err = run(sweep, place)
    assert (code, out.splitlines()[-1], err) == (0, f"lost/{NAME}", "")
    assert (place / "lost" / NAME).read_bytes() == whole
    assert [path.name for path in (place / "lost").iterdir()] == [NAME]


@pytest.fixture(scope="module")
def another_version(place: Path) -> str:
    """A PYTHONPATH with which the package says that it has another version."""
    other = place / "other" / f"superposition_theory-{ANOTHER}.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text(f"Metadata-Version: 2.1\nName: superposition-theory\nVersion: {ANOTHER}\n")
    return f"{other.parent}{os.pathsep}{ROOT}"


def test_workers_with_another_version_are_refused_by_name(place: Path, another_version: str) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with scheduler(place, port), worker(place, address, "stranger", PYTHONPATH=another_version):
        code, _, err = run([*SWEEP, "--dask", address, "--output", "refused"], place)
    assert code == 2
    assert err.count("\n") == 1
    assert f"has version {ANOTHER} of superposition-theory" in err
    assert "tcp://127.0.0.1:" in err
    assert not (place / "refused").exists()


def test_a_worker_with_another_version_that_joins_later_is_refused(place: Path, another_version: str) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with scheduler(place, port), worker(place, address, "one"):
        results = spread(time.sleep, [(0.5,)] * 120, address)
        assert next(results) is None
        refused = pytest.raises(Failure, match=f"worker that joined has version {ANOTHER} of superposition-theory")
        with worker(place, address, "stranger", PYTHONPATH=another_version), refused:
            list(results)


def test_a_scheduler_without_workers_is_refused(place: Path) -> None:
    port = free_port()
    with scheduler(place, port) as process:
        code, _, err = run([*SWEEP, "--dask", f"tcp://127.0.0.1:{port}", "--output", "nobody"], place)
        assert process.poll() is None
    assert code == 2
    assert err.count("\n") == 1
    assert "has no workers; start some with `dask worker" in err


def test_an_interrupted_command_leaves_the_cluster_free(place: Path, address: str) -> None:
    command = start([*SWEEP, "--dask", address, "--output", "interrupted"], place)
    assert wait_for(some_pieces(place / "interrupted"))
    command.send_signal(signal.SIGINT)
    command.wait(10)
    assert left_over(command) == []
    assert ended(command)[::2] == (130, "python -m numerics.sweep: interrupted\n")
    assert list(spread(pow, [(2, 3)], address)) == [8]


def test_a_phase_diagram_of_five_features_is_the_same_on_a_cluster(place: Path, address: str) -> None:
    diagram = ["-m", "theory.phase_diagram", "--n", "5", "--m", "2", "--resolution", "2"]
    assert run([*diagram, "--workers", "2", "--output", "here"], place)[::2] == (0, "")
    with work_for(address):
        assert run([*diagram, "--dask", address, "--output", "there"], place)[::2] == (0, "")
    name = "phase_diagram_n5_m2.nc"
    assert (place / "here" / name).read_bytes() == (place / "there" / name).read_bytes()


def test_figures_are_computed_on_a_cluster(place: Path, address: str) -> None:
    figures = ["-m", "figures", "--quick", "--only", "polygons", "--output"]
    assert run([*figures, "here", "--workers", "1"], place)[::2] == (0, "")
    with work_for(address):
        assert run([*figures, "there", "--dask", address], place)[::2] == (0, "")
    assert (place / "here" / "polygons.nc").read_bytes() == (place / "there" / "polygons.nc").read_bytes()


def test_the_global_optimum_is_searched_for_on_a_cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = {
        "large_search": {"_FIRST_STEPS": 3, "_LEFT": (2,), "_BEST_STEPS": 5, "_LAST_STEPS": 5},
        "large_descents": {"_NEWTON": 0, "_DEAR": (2, 1)},
    }
    for module, values in short.items():  # a search that ends soon, by the descents that are shared out
        for name, value in values.items():
            monkeypatch.setattr(f"theory.search.{module}.{name}", value)
    problem = Problem(n=13, m=3, density=0.1, importance=0.8 ** np.arange(13))
    here = global_optimum(problem, workers=1)
    with work_for(address):
        there = global_optimum(problem, workers=address)
    np.testing.assert_array_equal(here.W, there.W)
    assert here.loss == there.loss
