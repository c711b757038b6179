"""The command line where arguments, files, terminals and memory fail it: one line, one code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mobileone
import pytest
from mobileone.cli import main

Capture = pytest.CaptureFixture[str]


def command(
    *arguments: str, before: str = "", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    code = f"import sys; from mobileone.cli import main; {before}\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bench", "mobileone_mu0", "--seed", "-1"], 2, "seed is -1; expected an integer of at"),
        (["profile", "mobileone_mu0", "--seed", "-1"], 2, "seed is -1"),
        (["profile", "mobileone_mu0", "--seed", str(2**64)], 2, "expected at most 2^64 - 1"),
        (["bench", "mobileone_mu0", "--json", "none/x.json"], 1, "none/x.json"),
        (["bench", "mobileone_mu0", "--plot", "none/x.png"], 1, "none/x.png"),
        (
            ["bench", "mobileone_mu0", "--plot", "x.nothing"],
            2,
            "x.nothing: no figure is a .nothing",
        ),
        (["profile", "mobileone_mu0", "--trace", "none/x.json"], 1, "none/x.json"),
        (["profile", "mobileone_mu0", "--json", "."], 1, "is a directory"),
    ],
)
def test_bad_arguments_are_found_before_measuring(
    arguments: list[str],
    code: int,
    message: str,
    capsys: Capture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--runs", "100000000"]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bench", "profile"])
def test_an_enormous_image_is_one_line(name: str) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))"
    done = command(name, "mobileone_mu0", "--input-size", "999999", before=limit)
    assert done.returncode in (1, 2)
    error = done.stderr.decode()
    assert error.startswith("mobileone: error: ")
    assert "999999" in error or "bytes" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "words", ["fuse NAME out.safetensors", "evaluate NAME .", "predict NAME ."]
)
def test_a_variants_name_where_weights_are_wanted(
    words: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.replace("NAME", "mobileone_mu0").split()) == 1
    captured = capsys.readouterr()
    assert "mobileone_mu0: no such file; it is a variant's name" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_bad_pictures_exit_as_bad_files_do(tmp_path: Path, capsys: Capture) -> None:
    weights, picture = tmp_path / "x.safetensors", tmp_path / "bad.png"
    mobileone.create_model("mobileone_mu0", num_classes=3).save(weights)
    picture.write_bytes(b"no picture")
    assert main(["predict", str(weights), str(picture)]) == 1
    assert f"{picture}: expected an image that Pillow can read" in capsys.readouterr().err
    assert main(["demo", "--image", str(picture), "--model", "mobileone_mu0"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_ascii_terminal_gets_a_table_that_is_aligned() -> None:
    """And of the same width as where there are all letters."""
    tables = []
    for encoding in ("ascii", "utf-8"):
        done = command("verify", "mobileone_mu0", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert done.returncode == 0, done.stderr
        tables.append(done.stdout.decode(encoding).splitlines())
    ascii_lines, lines = tables
    assert "max |d|" in ascii_lines[1]
    assert "max |Δ|" in lines[1]
    assert [len(line) for line in ascii_lines] == [len(line) for line in lines]


def test_json_to_a_pipe(tmp_path: Path) -> None:
    done = command(
        "profile", "mobileone_mu0", "--runs", "2", "--input-size", "32", "--json", "/dev/stderr"
    )
    assert done.returncode == 0
    assert json.loads(done.stderr)["schema"].startswith("mobileone.profile/")
