"""The pages of the API: no exported name is missing, and every function shows how it is called."""

import inspect
import re
from pathlib import Path

import pytest

import numerics
import theory

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def listed(package: str) -> set[str]:
    """Names on the page under the headings of a package."""
    blocks = re.findall(rf"currentmodule:: {package}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return {line.strip() for block in blocks for line in block.splitlines() if re.fullmatch(r"   \w+", line)}


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not there")
@pytest.mark.parametrize("package", [theory, numerics])
def test_the_reference_lists_what_the_package_exports(package: object) -> None:
    assert listed(package.__name__) == set(package.__all__)


@pytest.mark.parametrize("package", [theory, numerics])
def test_everything_that_is_called_has_an_example(package: object) -> None:
    for name in package.__all__:
        value = getattr(package, name)
        if callable(value) and not (inspect.isclass(value) and issubclass(value, BaseException)):
            assert ">>>" in (inspect.getdoc(value) or ""), name
