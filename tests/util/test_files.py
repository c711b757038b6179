"""Files appear whole or not at all, where links lead, with the modes they had."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import MOBILEONE, images
from mobileone.util.files import check_writable, whole_file, write_json


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.partial"))


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return mobileone.reparameterize(MOBILEONE.make())


def writers(model: mobileone.Model) -> dict[str, Callable[[Path], None]]:
    """Everything of the package that writes a file at a path."""
    shape = (1, 3, 32, 32)
    profile = mobileone.profile(model, input_size=32, runs=2)
    benchmark = mobileone.benchmark(model, input_size=32, runs=2, warmup=0, rounds=1)
    return {
        "weights.safetensors": model.save,
        "stored.plan": lambda path: model.save_plan(path, shape),
        "net.onnx": lambda path: model.export_onnx(path, input_size=32),
        "profile.json": profile.to_json,
        "trace.json": profile.to_chrome_trace,
        "benchmark.json": benchmark.to_json,
    }


def test_all_writers_keep_links_and_modes_and_leave_nothing(
    model: mobileone.Model, tmp_path: Path
) -> None:
    for name, write in writers(model).items():
        real, link = tmp_path / "elsewhere" / name, tmp_path / name
        real.parent.mkdir(exist_ok=True)
        real.write_bytes(b"old")
        real.chmod(0o600)
        link.symlink_to(real)
        write(link)
        assert link.is_symlink()
        assert real.read_bytes() != b"old"
        assert mode_of(real) == 0o600
        assert leftovers(tmp_path) == leftovers(real.parent) == []


def test_a_link_to_nothing_makes_the_file_that_it_names(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new")
    with whole_file(link) as file:
        file.write(b"x")
    assert link.is_symlink()
    assert (tmp_path / "new").read_bytes() == b"x"


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "new") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new") == 0o640


def test_what_is_no_regular_file_is_refused(model: mobileone.Model, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, kind in ((fifo, "FIFO"), (Path("/dev/null"), "device"), (tmp_path, "directory")):
        with pytest.raises(OSError, match=f"is a {kind}; expected"):
            model.save(path)
        with pytest.raises(OSError, match=f"is a {kind}; expected"):
            model.save_plan(path, (1, 3, 32, 32))
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_json_goes_into_devices_and_fifos(tmp_path: Path) -> None:
    write_json("/dev/null", {"a": 1})
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_json(fifo, {"a": 1})
    reader.join()
    assert json.loads(read[0]) == {"a": 1}
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})

    def interrupted() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


FULL_DISK = """
import resource, signal, sys
from mobileone.util.files import write_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # writing more fails as on a full disk
try: write_json(sys.argv[1], ["x" * 10000])
except OSError as error: print(type(error).__name__)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    said = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "OSError"
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


KILLED = """
import os, signal, sys
from mobileone.util.files import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    if sys.argv[2] == "die": os.kill(os.getpid(), signal.SIGKILL)
    print("open", flush=True)
    sys.stdin.read()
"""


def test_what_killed_writers_left_goes_with_the_next_one(tmp_path: Path) -> None:
    path, other = tmp_path / "x", tmp_path / "other.0123abcd.partial"
    other.write_bytes(b"of another file")
    command = [sys.executable, "-c", KILLED, path]
    subprocess.run([*command, "die"], check=False)
    assert len(leftovers(tmp_path)) == 2
    # One that still writes is let be.
    with subprocess.Popen(
        [*command, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        assert len(leftovers(tmp_path)) == 2  # the dead one's is gone, the living one's is there
        with whole_file(path) as file:
            file.write(b"mine")
        assert len(leftovers(tmp_path)) == 2
        writing.communicate()
    assert path.read_bytes() == b"half"  # the last to finish
    assert leftovers(tmp_path) == [other.name]


def test_many_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x"

    def write(value: int) -> None:
        for _ in range(20):
            with whole_file(path) as file:
                file.write(bytes([value]) * 10000)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = path.read_bytes()
    assert len(content) == 10000
    assert len(set(content)) == 1
    assert leftovers(tmp_path) == []


def test_check_writable_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    check_writable(path)
    assert not path.exists()
    path.write_text("old")
    check_writable(path)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []
    with pytest.raises(FileNotFoundError, match=r"none/x'$"):  # no name of our own
        check_writable(tmp_path / "none" / "x")
    with pytest.raises(IsADirectoryError):
        check_writable(tmp_path)


def test_a_mapped_plan_survives_being_saved_over(model: mobileone.Model, tmp_path: Path) -> None:
    path, link = tmp_path / "x.plan", tmp_path / "link"
    link.symlink_to(path)
    model.save_plan(path, (1, 3, 32, 32))
    plan = mobileone.load_plan(link)
    x = images(1, (32, 32))
    before = plan(x)
    model.save_plan(link, (1, 3, 32, 32))
    np.testing.assert_array_equal(plan(x), before)
