"""A cluster of two nodes on this machine: the same bits as one process, whatever dies."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .pictures import image_folder

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not here")

# In a process of its own: Ray's warnings are not ours to raise, and its threads end with it.
SETUP = """
import json, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import mobileone
from mobileone.data.datasets import picture_folder

picture_folder.SHARD_SIZE = 8
folder, store = Path(sys.argv[1]), Path(sys.argv[2])
model = mobileone.create_model("custom", widths=[8], depths=[1], seed=1)
model.input_size = (64, 64)

def figures(result):
    # Shards of eight are made of whole batches, so that what follows is comparable to the bit.
    rows = result.to_dataframe().to_dict("records")
    return json.dumps([rows, result.totals.nll_units, result.to_dict()["per_class"], result.ece])

def cluster():
    import ray
    from ray.cluster_utils import Cluster
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    ray.init(address=found.address, log_to_driver=False, include_dashboard=False)
    return found

def workers():
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if (process / "cmdline").read_bytes().startswith(b"ray::Evaluator"):
                    yield int(process.name)
            except OSError:
                pass

def when_stored(count, action):
    def wait():
        while len(list(store.glob("*.npz"))) < count:
            time.sleep(0.01)
        action()
    threading.Thread(target=wait, daemon=True).start()
"""


def run(script: str, *arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SETUP + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == code, done.stderr[-3000:]
    # Among it may be what Ray says of workers that died.
    found = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return found[-1] if found else ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("cluster") / "val", 152)


def test_a_worker_that_is_killed_changes_no_bit(folder: Path, tmp_path: Path) -> None:
    script = """
        expected = figures(mobileone.evaluate(model, folder, batch_size=8, workers=0))
        cluster()
        killed = []
        def kill():
            killed.extend(list(workers())[:1])
            os.kill(killed[0], signal.SIGKILL)
        when_stored(2, kill)
        result = mobileone.evaluate(model, folder, batch_size=8, ray=True, results=store)
        print(json.dumps([figures(result) == expected, len(killed), result.count]))
    """
    assert json.loads(run(script, folder, tmp_path / "store")) == [True, 1, 160]


def test_a_node_that_is_lost_for_good_changes_no_bit(folder: Path, tmp_path: Path) -> None:
    script = """
        expected = figures(mobileone.evaluate(model, folder, batch_size=8, workers=0))
        found = cluster()
        lost = found.list_all_nodes()[-1]
        when_stored(2, lambda: found.remove_node(lost, allow_graceful=False))
        result = mobileone.evaluate(model, folder, batch_size=8, ray=True, results=store)
        print(json.dumps([figures(result) == expected, result.count]))
    """
    assert json.loads(run(script, folder, tmp_path / "store")) == [True, 160]


def test_a_driver_that_is_killed_is_gone_on_from(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    script = """
        cluster()
        when_stored(3, lambda: os.kill(os.getpid(), signal.SIGKILL))
        mobileone.evaluate(model, folder, batch_size=8, ray=True, results=store)
    """
    run(script, folder, store, code=-9)
    done = len(list(store.glob("*.npz")))
    assert 3 <= done < 20
    script = """
        expected = figures(mobileone.evaluate(model, folder, batch_size=8, workers=0))
        cluster()
        result = mobileone.evaluate(model, folder, batch_size=8, ray=True, results=store)
        print(json.dumps([figures(result) == expected, result.notes[-1].split(" pictures")[0]]))
    """
    assert json.loads(run(script, folder, store)) == [True, str(8 * done)]


def test_errors_and_functions_are_as_in_one_process(folder: Path, tmp_path: Path) -> None:
    script = """
        cluster()
        broken = Path(sys.argv[3])
        (broken / "n01440764").mkdir()
        (broken / "n01440764" / "x.png").write_bytes(b"no picture")
        try:
            mobileone.evaluate(model, broken, ray=True, on_error="raise")
        except ValueError as error:
            said = str(error)
        import numpy as np
        def zeros(x):
            return np.zeros((len(x), 1000), np.float32)
        result = mobileone.evaluate(zeros, folder, ray=True, data_config=model.data_config)
        print(json.dumps([said.startswith("n01440764/x.png"), result.top1.value]))
    """
    (tmp_path / "broken").mkdir()
    found = json.loads(run(script, folder, tmp_path / "store", tmp_path / "broken"))
    assert found == [True, 27 / 160]  # those of class 0


def test_somebody_elses_cluster_is_left_alone(folder: Path, tmp_path: Path) -> None:
    script = """
        import ray
        from ray.cluster_utils import Cluster
        theirs = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        result = mobileone.evaluate(model, folder, batch_size=8, ray=True, workers=1)
        address = ray.get_runtime_context().gcs_address
        print(json.dumps([address != theirs.address, result.count]))
    """
    assert json.loads(run(script, folder, tmp_path / "store")) == [True, 160]
