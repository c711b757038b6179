"""The notebooks as they lie in the repository: paired, executed, legible. nbmake executes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.py"))
FIGURES = {"image/png", "image/jpeg"}


def cells(name: str) -> list[dict[str, Any]]:
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return list(notebook["cells"])


def outputs(name: str) -> list[dict[str, Any]]:
    return [output for cell in cells(name) for output in cell.get("outputs", [])]


def test_every_notebook_has_its_pair() -> None:
    assert len(NAMES) >= 4
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_pair_is_in_sync(name: str) -> None:
    jupytext = pytest.importorskip("jupytext")
    script, executed = (jupytext.read(FOLDER / f"{name}.{suffix}") for suffix in ("py", "ipynb"))
    expected = [(cell.cell_type, cell.source) for cell in script.cells]
    found = [(cell.cell_type, cell.source) for cell in executed.cells]
    assert found == expected, f"python notebooks/refresh.py {name}"


@pytest.mark.parametrize("name", NAMES)
def test_it_was_executed_from_start_to_end(name: str) -> None:
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_outputs_hold_figures_and_no_errors(name: str) -> None:
    kinds = {output["output_type"] for output in outputs(name)}
    assert "error" not in kinds
    assert not [output for output in outputs(name) if output.get("name") == "stderr"]
    assert any(FIGURES & set(output.get("data", {})) for output in outputs(name))


@pytest.mark.parametrize("name", NAMES)
def test_outputs_name_no_folder_of_the_machine(name: str) -> None:
    text = json.dumps(
        [
            {kind: value for kind, value in output.get("data", {}).items() if kind not in FIGURES}
            | {"text": output.get("text", "")}
            for output in outputs(name)
        ]
    )
    found = re.findall(r"(?<![\w.])/(?:tmp|home|root|work|opt|usr|Users|var)/[\w./-]*", text)
    assert not found


@pytest.mark.parametrize("name", NAMES)
def test_one_cell_of_parameters_comes_first(name: str) -> None:
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    assert tagged == code[:1]
