"""Make the .ipynb of every .py beside this file: convert, execute, keep what is worth reading.

pip install '.[notebook]' jupytext nbclient
python notebooks/refresh.py [01_reparameterize ...]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent
# Progress bars: what they leave behind says nothing to a reader.
_WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(source: Path) -> None:
    """Execute one notebook in its folder; CellExecutionError, and nothing written, if it fails."""
    notebook = jupytext.read(source)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    for number, cell in enumerate(notebook.cells):
        # Ids that do not change from run to run keep the diffs short.
        cell.id = f"cell-{number:02}"
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": kernel,
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, source.with_suffix(".ipynb"))


def _is_progress(output: nbformat.NotebookNode) -> bool:
    return output.get("name") == "stderr" or _WIDGET in output.get("data", {})


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.py"))
    for name in names:
        start = time.perf_counter()
        refresh(FOLDER / f"{name}.py")
        print(f"{name}: {time.perf_counter() - start:.0f} s")
