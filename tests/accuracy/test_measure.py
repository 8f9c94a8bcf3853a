"""The measurement can fail: errors that are planted are found, at the size they were given."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from theory import FeatureDistribution, Problem

from .__main__ import main
from .estimators import Estimate, todays_loss
from .measure import Record, measure, measure_rows
from .noisy import noisy_output
from .oracle import exact_loss, exact_output, rational, to_float
from .problems import SCHEDULE, Case, make_case
from .summary import summaries

STATED = 1e-3
# Two single models and two batches, of single outputs so that every model's exact answer is quick.
PROBLEMS = [k for name in ("random", "single outputs in batches") for k in range(len(SCHEDULE)) if SCHEDULE[k] == name][
    1:5
]


def exact(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
    """Give the exact answer rounded to doubles, with stated errors that are far larger than that."""
    every = np.arange(len(W) if W.ndim == 3 else 1)
    found = [exact_loss(*Case("", 0, W, b, problem, every).single(int(k))) for k in every]
    value = np.array([to_float(f.value) for f in found]).reshape(b.shape[:-1])
    dW = np.array([[[to_float(entry) for entry in row] for row in f.dW] for f in found]).reshape(W.shape)
    db = np.array([[to_float(entry) for entry in f.db] for f in found]).reshape(b.shape)
    largest = np.maximum(np.abs(dW).max((-1, -2)), np.abs(db).max(-1))
    return value, STATED * (1 + value), dW, db, STATED * (1 + largest)


@pytest.mark.parametrize("number", PROBLEMS)
def test_exact_answer_has_no_error(number: int) -> None:
    record = measure(make_case(number), exact)
    assert record.outcome == "measured"
    assert record.value_ratio < 1e-9
    assert record.gradient_ratio < 1e-9


@pytest.mark.parametrize("number", PROBLEMS)
@pytest.mark.parametrize("part", ["value", "dW", "db"])
def test_error_of_twice_the_stated_one_is_reported(number: int, part: str) -> None:
    case = make_case(number)

    def perturbed(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
        value, value_error, dW, db, gradient_error = exact(W, b, problem)
        which = (case.compared[0],) if W.ndim == 3 else ()
        if part == "value":
            value[which] += 2 * value_error[which]
        else:
            changed = dW[which][0] if part == "dW" else db[which]
            changed[3] -= 2 * gradient_error[which]
        return value, value_error, dW, db, gradient_error

    record = measure(case, perturbed)
    ratios = (record.value_ratio, record.gradient_ratio)
    np.testing.assert_allclose(ratios, (2, 0) if part == "value" else (0, 2), atol=1e-9)


@pytest.mark.parametrize(("value", "stated"), [(np.nan, 1.0), (np.inf, np.inf), (0.0, -1.0), (0.0, np.nan), (9.0, 0.0)])
def test_nonsense_is_infinitely_wrong(value: float, stated: float) -> None:
    def nonsense(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
        return np.array(value), np.array(stated), np.zeros_like(W), np.zeros_like(b), np.array(1e9)

    assert measure(make_case(PROBLEMS[0]), nonsense).value_ratio == np.inf


def test_refusals_and_crashes_are_told_apart() -> None:
    def refusing(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
        raise ValueError("too large")

    def crashing(W: ndarray, b: ndarray, problem: Problem) -> Estimate:
        raise ZeroDivisionError("by zero")

    records = [measure(make_case(0), refusing), measure(make_case(0), crashing)]
    assert [r.outcome for r in records] == ["refused: too large", "crashed: ZeroDivisionError: by zero"]
    assert [(s.refused, s.crashed) for s in summaries(records)] == [(1, 1), (1, 1)]


def test_summary_names_the_worst_problem() -> None:
    records = [Record(k, "random", 7, "measured", value_ratio=k / 100, gradient_ratio=2.0 - k) for k in range(200)]
    first, every = summaries(records)
    assert (first.stratum, every.stratum) == ("random", "all")
    assert (first.value_worst, first.value_ratio_max, first.value_ratio_99) == (199, 1.99, 1.97)
    assert (first.wrong_values, first.wrong_gradients, first.gradient_worst) == (99, 1, 0)


@pytest.mark.usefixtures("without_type_checks")
def test_command_resumes_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.accuracy.__main__.CHUNK", 3)
    main(["--count", "3", "--output", str(tmp_path)])
    path = tmp_path / "problems-000000.jsonl"
    lines = path.read_text().splitlines()
    marked = json.loads(lines[1]) | {"seconds": 12345.0}
    path.write_text("\n".join([lines[0], json.dumps(marked)]) + "\n")  # the third is lost, the second recognisable
    (tmp_path / "problems-000003.77.part").write_text("{")  # what an interruption leaves behind
    main(["--count", "5", "--output", str(tmp_path)])
    found = json.loads((tmp_path / "accuracy.json").read_text())
    assert found[-1]["problems"] == 5
    assert found[-1]["seconds"] > 12345
    assert "| tiny couplings |" in capsys.readouterr().out
    with pytest.raises(ValueError, match="choose another --output"):
        main(["--count", "3", "--output", str(tmp_path), "--estimator", "tests.accuracy.test_measure:exact"])


def test_todays_loss_states_what_it_is_asked_for() -> None:
    value, stated, _, _, gradient_stated = todays_loss(np.eye(2), np.zeros(2), Problem(n=2, m=2, density=0.5))
    assert value == 0
    assert 0 < stated < 1e-11
    assert gradient_stated == 1e-7


@pytest.mark.parametrize("number", PROBLEMS)
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("part", [0, 2, 3, 5])
def test_error_of_a_single_output_is_reported(number: int, noisy: bool, part: int) -> None:
    def perturbed(G: ndarray, b: ndarray, own: ndarray, features: FeatureDistribution, noise: ndarray) -> tuple:
        found = []
        for k, i in enumerate(own):
            law = features.with_density(features.density[k]) if features.batch_shape else features
            output = [rational(c) for c in G[k]], rational(b[k]), int(i), law
            exact = noisy_output(*output, rational(noise[k])) if noise[k] else exact_output(*output)
            value, slope, in_noise = map(to_float, (exact.value, exact.bias, exact.noise))
            slopes = np.array([to_float(s) for s in exact.couplings])
            stated = STATED * (1 + value), STATED * (1 + np.abs([*slopes, slope, in_noise]).max())
            found.append((value, stated[0], slopes, slope, stated[1], in_noise))
        parts = [np.array(x) for x in zip(*found, strict=True)]
        last = np.flatnonzero(noise)[-1] if noisy else -1
        parts[part].reshape(len(own), -1)[last, -1] += 2 * parts[4 if part else 1][last]
        return tuple(parts)

    record = measure_rows(make_case(number), perturbed, noisy)
    expected = (2, 0) if part == 0 else (0, 0) if part == 5 and not noisy else (0, 2)  # without noise, no slope in it
    np.testing.assert_allclose((record.value_ratio, record.gradient_ratio), expected, atol=1e-9)
