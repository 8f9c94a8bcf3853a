"""Sweeps: killed, resumed, damaged, spread over processes and a cluster, they end with the same numbers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from numerics import run_sweep
from numerics.sweep.__main__ import main
from numerics.sweep.cache import Cache, checksum
from theory.model.extra_feature import extra_feature_problem
from theory.tools.command import run_command
from theory.tools.storage import load_result

pytestmark = pytest.mark.usefixtures("at_full_speed")

ROOT = Path(__file__).parents[3]
GRID = extra_feature_problem(2, 1, np.geomspace(0.05, 1, 4)[:, None], np.geomspace(0.1, 10, 4))
QUICK = {"instances": 16, "steps": 30}


def cache_of(target: Path) -> Path:
    return target.with_name(target.name + ".cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """The sweep, undisturbed."""
    return run_sweep(GRID, tmp_path_factory.mktemp("whole") / "sweep.nc", **QUICK)


def interrupt_after(count: int, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the sweep and break it off after some pieces."""
    put, done = Cache.put, []

    def put_or_stop(self: Cache, key: str, dataset: xr.Dataset) -> None:
        if len(done) == count:
            raise KeyboardInterrupt
        done.append(key)
        put(self, key, dataset)

    with monkeypatch.context() as patch:
        patch.setattr(Cache, "put", put_or_stop)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(GRID, target, **QUICK)
    assert not target.exists()
    assert len(list(cache_of(target).glob("*.nc"))) == count


def test_a_sweep_covers_the_grid_in_order(whole: xr.Dataset) -> None:
    np.testing.assert_array_equal(whole.problem, np.repeat(np.arange(16), 16))
    np.testing.assert_allclose(whole.density[::16, 0], np.repeat(np.geomspace(0.05, 1, 4), 4))
    np.testing.assert_allclose(whole.importance[::16, 1], np.tile(np.geomspace(0.1, 10, 4), 4))
    assert whole.attrs["batch_shape"] == "[4, 4]"
    assert whole.attrs["steps"] == 30


def test_an_interrupted_sweep_continues_and_ends_with_the_same_numbers(
    whole: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "sweep.nc"
    interrupt_after(2, target, monkeypatch)
    trained = []
    monkeypatch.setattr("numerics.sweep.grid.train", lambda *a, **k: trained.append(a) or _train(*a, **k))
    resumed = run_sweep(GRID, target, **QUICK)
    assert len(trained) == 2
    assert resumed.identical(whole)
    assert load_result(target).identical(whole)
    assert not cache_of(target).exists()


def _train(*arguments: object, **settings: object) -> xr.Dataset:
    from numerics.training.run import train

    return train(*arguments, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "nonsense"])
def test_damaged_cache_entries_are_computed_again_with_a_warning(
    damage: str, whole: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "sweep.nc"
    interrupt_after(2, target, monkeypatch)
    entry = sorted(cache_of(target).glob("*.nc"))[0]
    content = entry.read_bytes()
    flipped = bytearray(content)
    flipped[len(flipped) // 2] ^= 1
    entry.write_bytes(
        {"truncated": content[:-100], "empty": b"", "flipped": bytes(flipped), "nonsense": b"x" * 500}[damage]
    )
    with pytest.warns(RuntimeWarning, match="computing it again"):
        assert run_sweep(GRID, target, **QUICK).identical(whole)


def test_processes_and_repetition_change_nothing(whole: xr.Dataset, tmp_path: Path) -> None:
    target = tmp_path / "sweep.nc"
    assert run_sweep(GRID, target, workers=2, **QUICK).identical(whole)
    written = target.stat().st_mtime_ns
    assert run_sweep(GRID, target, **QUICK).identical(whole)
    assert target.stat().st_mtime_ns == written


def test_existing_results_are_never_overwritten(whole: xr.Dataset, tmp_path: Path) -> None:
    target = tmp_path / "sweep.nc"
    target.write_text("years of work")
    with pytest.raises(FileExistsError, match="not the result of this sweep"):
        run_sweep(GRID, target, **QUICK)
    assert target.read_text() == "years of work"
    target.unlink()
    run_sweep(GRID, target, **QUICK)
    with pytest.raises(FileExistsError, match="not the result of this sweep"):
        run_sweep(GRID, target, **(QUICK | {"steps": 31}))
    assert load_result(target).identical(whole)


def test_seeds_are_swept_and_differ(tmp_path: Path) -> None:
    both = run_sweep(GRID, tmp_path / "sweep.nc", seeds=(3, 4), instances=2, steps=5)
    np.testing.assert_array_equal(both.seed, np.repeat([3, 4], 32))
    assert (both.W[:32].values != both.W[32:].values).all()


def test_the_checksum_sees_every_bit_and_nothing_else(whole: xr.Dataset, tmp_path: Path) -> None:
    changed = whole.copy(deep=True)
    changed["W"][0, 0, 0] = np.nextafter(changed["W"][0, 0, 0].values, np.float32(2))
    assert checksum(changed) != checksum(whole)
    cache = Cache(tmp_path / "cache")
    with cache.held():
        cache.put("a", whole)
        assert cache.get("a").identical(whole)
        assert cache.get("b") is None


def test_an_unwritable_output_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerics.sweep.grid.train", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(OSError, match="cannot write"):
        run_sweep(GRID, "/proc/nowhere/sweep.nc", **QUICK)


COMMAND = ["--resolution", "4", "--instances", "32", "--steps", "3000", "--density", "0.05", "1"]


def command(target: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "numerics.sweep", *COMMAND, "--output", str(target), *more]


def test_the_command_writes_a_file_and_prints_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--resolution", "2", "--instances", "2", "--steps", "5", "--output", str(tmp_path)])
    path = tmp_path / "sweep_n2_m1.nc"
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    assert load_result(path).sizes["instance"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "must be a whole number >= 1"),
        (["--batch", "0"], "must be a whole number >= 1"),
        (["--density", "0", "1"], "finite number > 0"),
        (["--density", "0.5", "0.1"], "wants LO HI"),
        (["--learning-rate", "-1"], "learning_rate must be finite and > 0"),
        (["--learning-rate", "nan"], "learning_rate must be finite and > 0"),
        (["--optimiser", "adm"], "did you mean 'adam'"),
        (["--schedule", "cosin"], "did you mean 'cosine'"),
        (["--workers", "1000"], "workers must be at most"),
        (["--output", "/proc/nowhere"], "cannot write"),
    ],
)
def test_bad_arguments_end_the_command_with_one_line_and_code_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if "--output" not in arguments:
        arguments = [*arguments, "--output", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        run_command(main, "python -m numerics.sweep", arguments)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.glob("*.nc"))


@pytest.mark.parametrize(("rate", "diverged"), [("0.01", 0), ("1e6", 4)])
def test_the_command_says_how_many_were_trained_and_how_many_diverged(
    rate: str, diverged: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--density", "0.1", "0.5", "--resolution", "2", "--instances", "2", "--steps", "30", "--batch", "64"]
    main([*options, "--optimiser", "sgd", "--learning-rate", rate, "--output", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    data = load_result(tmp_path / "sweep_n2_m1.nc")
    for k, density in enumerate(("0.1", "0.5")):
        loss = data.loss.values[4 * k : 4 * k + 4]
        ends = ["–", "–"] if diverged else [f"{loss.min():.4g}", f"{loss.max():.4g}"]
        assert lines[2 + k].split() == [density, "2", "4", str(4 - diverged), str(diverged), *ends]
    assert "theory.report" in lines[-2]


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_with_the_same_file(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def seconds() -> float:
        start = time.monotonic()
        subprocess.run(command(tmp_path / "whole"), check=True, env=environment, cwd=tmp_path)
        return time.monotonic() - start

    whole, startup = seconds(), seconds()  # the second finds everything done
    rng = np.random.default_rng(0)
    resumed, kills = tmp_path / "resumed", 0
    for _ in range(10):
        process = subprocess.Popen(command(resumed), env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=startup + rng.uniform(0, 0.2) * (whole - startup))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    subprocess.run(command(resumed), check=True, env=environment, cwd=tmp_path)
    assert kills >= 8  # on an uneven machine the last rounds may find the work done
    name = "sweep_n2_m1.nc"
    assert (resumed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [p.name for p in resumed.iterdir()] == [name]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what dask's own threads warn about is not ours to fix
def test_a_cluster_that_loses_a_busy_worker_gives_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    settings = {"instances": 64, "steps": 1000}  # sixteen pieces of about half a second
    local = run_sweep(GRID, tmp_path / "local.nc", workers=2, **settings)
    put, killed = Cache.put, []
    with (
        # Half a minute, the default, is how long a caller may wait for a worker that is dead.
        pytest.importorskip("dask").config.set({"distributed.comm.timeouts.connect": "3s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):

        def put_and_kill(self: Cache, key: str, dataset: xr.Dataset) -> None:
            put(self, key, dataset)
            if not killed:
                busy = [worker for worker, tasks in client.processing().items() if tasks]
                killed.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
                os.kill(killed[0], signal.SIGKILL)

        monkeypatch.setattr(Cache, "put", put_and_kill)
        result = run_sweep(GRID, tmp_path / "sweep.nc", workers=cluster.scheduler_address, **settings)
    assert killed
    assert result.identical(local)


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(OSError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_sweep(GRID, tmp_path / "sweep.nc", workers="tcp://127.0.0.1:9", **QUICK)


def test_a_cache_whose_folder_cannot_be_made_again_fails_instead_of_waiting(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.folder = Path("/proc/none/cache")
    with pytest.raises(OSError, match="/proc"), cache.held():
        pass
