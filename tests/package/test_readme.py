"""What README.md says to type runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[2] / "README.md"


def tour() -> list[tuple[str, str]]:
    """The lines of the tour, and what each is said to print; comments are left out."""
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    lines: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith(">>> "):
            lines.append((re.sub(r"\s+# .*", "", line.removeprefix(">>> ")), ""))
        elif line.strip():
            lines[-1] = (lines[-1][0], line)
    return lines


@pytest.mark.filterwarnings("ignore:image has")
def test_the_tour_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for line, printed in tour():
        if re.match(r"import |[\w, ]+ = ", line):
            exec(line, names)
        else:
            value = eval(line, names)
            assert not printed or repr(value) == printed
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {
        "unfused.safetensors", "photo.png", "mobileone_mu0.safetensors", "mobileone_mu0.onnx",
    }  # fmt: skip
    assert names["logits"].shape == (2, 1000)
    assert [level.shape[2] for level in names["maps"]] == [56, 28, 14, 7]
