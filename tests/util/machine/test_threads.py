"""thread_count over made-up /proc and /sys trees, and on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from mobileone.util.machine.threads import MAX_THREADS, cgroup_quota, physical_cores, thread_count

V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def topology(root: Path, siblings: dict[int, str], name: str = "core_cpus_list") -> None:
    for cpu, cpus in siblings.items():
        write(root, f"sys/devices/system/cpu/cpu{cpu}/topology/{name}", cpus + "\n")


def cgroup_v2(root: Path, group: str, limits: dict[str, str], mount: str = V2_MOUNT) -> None:
    write(root, "proc/self/mountinfo", mount)
    write(root, "proc/self/cgroup", f"0::{group}\n")
    for folder, limit in limits.items():
        write(root, f"sys/fs/cgroup/{folder}/cpu.max", limit + "\n")


def choose(root: Path, cpus: int = 8, requested: int | None = None, **environ: str):  # type: ignore[no-untyped-def]
    return thread_count(requested, root=root, affinity=range(cpus), environ=environ)


def test_affinity_mask_is_the_limit_without_other_facts(tmp_path: Path) -> None:
    choice = choose(tmp_path, cpus=6)
    assert (choice.count, choice.affinity, choice.cgroup_quota) == (6, 6, None)
    assert choice.omp_num_threads is None


@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
def test_hyper_threads_of_one_core_count_once(tmp_path: Path, name: str) -> None:
    topology(tmp_path, {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}, name)
    assert physical_cores([0, 1, 4, 5], tmp_path) == 2
    assert physical_cores([0, 4], tmp_path) == 1
    choice = thread_count(root=tmp_path, affinity=[0, 1, 4], environ={})
    assert (choice.count, choice.affinity, choice.physical_cores) == (2, 3, 2)
    assert choice.reason == "physical cores"


@pytest.mark.parametrize(
    ("limit", "quota", "count"),
    [
        ("max 100000", None, 8),
        ("200000 100000", 2.0, 2),
        ("150000 100000", 1.5, 2),
        ("10000 100000", 0.1, 1),
        ("1600000 100000", 16.0, 8),
        ("300000", 3.0, 3),
        ("garbage here", None, 8),
        ("-1 100000", None, 8),
        ("100000 0", None, 8),
        ("", None, 8),
    ],
)
def test_cgroup_v2_quota(tmp_path: Path, limit: str, quota: float | None, count: int) -> None:
    cgroup_v2(tmp_path, "/job", {"job": limit})
    choice = choose(tmp_path)
    assert (choice.cgroup_quota, choice.count) == (quota, count)
    assert ("cgroup quota" in choice.reason) == (count < 8)


def test_nested_cgroup_v2_takes_the_tightest_ancestor(tmp_path: Path) -> None:
    limits = {"a": "300000 100000", "a/b": "max 100000", "a/b/c": "400000 100000"}
    cgroup_v2(tmp_path, "/a/b/c", limits)
    assert cgroup_quota(tmp_path) == 3.0
    cgroup_v2(tmp_path, "/a/b/c", {"a/b/c": "100000 50000"})
    assert cgroup_quota(tmp_path) == 2.0


def test_a_sibling_group_does_not_limit(tmp_path: Path) -> None:
    cgroup_v2(tmp_path, "/a", {"b": "100000 100000", "a/child": "100000 100000"})
    assert cgroup_quota(tmp_path) is None


def test_group_namespace_mounts_the_containers_own_subtree(tmp_path: Path) -> None:
    mount = "31 23 0:28 /pod/box /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
    cgroup_v2(tmp_path, "/pod/box/worker", {"worker": "500000 100000", ".": "max 100000"}, mount)
    assert cgroup_quota(tmp_path) == 5.0
    cgroup_v2(tmp_path, "/../outside", {".": "200000 100000"}, mount)
    write(tmp_path, "sys/fs/outside/cpu.max", "100000 100000")
    assert cgroup_quota(tmp_path) == 2.0, "a path out of the namespace must not be followed"


def test_walk_stays_below_the_mount_point(tmp_path: Path) -> None:
    cgroup_v2(tmp_path, "/a", {})
    write(tmp_path, "sys/fs/cpu.max", "100000 100000")
    assert cgroup_quota(tmp_path) is None


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_cgroup_v1_quota(tmp_path: Path, controllers: str) -> None:
    mount = f"32 31 0:29 / /sys/fs/cgroup/cpu\\040x rw - cgroup cgroup rw,{controllers}\n"
    write(tmp_path, "proc/self/mountinfo", mount)
    write(tmp_path, "proc/self/cgroup", f"4:memory:/m\n3:{controllers}:/job/step\n0::/\n")
    for group, quota in (("job", "250000"), ("job/step", "-1")):
        write(tmp_path, f"sys/fs/cgroup/cpu x/{group}/cpu.cfs_quota_us", quota)
        write(tmp_path, f"sys/fs/cgroup/cpu x/{group}/cpu.cfs_period_us", "100000")
    choice = choose(tmp_path)
    assert (choice.cgroup_quota, choice.count) == (2.5, 3)


def test_hybrid_hierarchies_take_the_tighter_of_v1_and_v2(tmp_path: Path) -> None:
    v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    v2 = "38 31 0:41 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    write(tmp_path, "proc/self/mountinfo", v1 + v2)
    write(tmp_path, "proc/self/cgroup", "1:cpu:/j\n0::/j\n")
    write(tmp_path, "sys/fs/cgroup/cpu/j/cpu.cfs_quota_us", "400000")
    write(tmp_path, "sys/fs/cgroup/cpu/j/cpu.cfs_period_us", "100000")
    write(tmp_path, "sys/fs/cgroup/unified/j/cpu.max", "300000 100000")
    assert cgroup_quota(tmp_path) == 3.0


@pytest.mark.parametrize(("text", "count"), [("3", 3), (" 2 ", 2), ("5,2", 5), ("16", 16)])
def test_omp_num_threads_is_obeyed_even_above_the_default(
    tmp_path: Path, text: str, count: int
) -> None:
    choice = choose(tmp_path, OMP_NUM_THREADS=text)
    assert (choice.count, choice.reason) == (count, "OMP_NUM_THREADS")
    assert choice.omp_num_threads == text


@pytest.mark.parametrize("text", ["", "many", "0", "-2", "2.5", "2,", ",2", "4,x", "9999999", "²"])
def test_bad_omp_num_threads_is_reported_and_ignored(tmp_path: Path, text: str) -> None:
    with pytest.warns(RuntimeWarning, match="OMP_NUM_THREADS"):
        choice = choose(tmp_path, cpus=3, OMP_NUM_THREADS=text)
    assert choice.count == 3
    assert f"OMP_NUM_THREADS={text!r} ignored" in choice.reason


def test_requested_overrides_everything_and_needs_no_valid_environment(tmp_path: Path) -> None:
    cgroup_v2(tmp_path, "/a", {"a": "100000 100000"})
    choice = choose(tmp_path, 2, 7, OMP_NUM_THREADS="nonsense")
    assert (choice.count, choice.reason, choice.cgroup_quota) == (7, "threads argument", 1.0)
    assert choose(tmp_path, 2, np.int64(3)).count == 3


@pytest.mark.parametrize("bad", [0, -1, MAX_THREADS + 1, 2.0, "2", True, None.__class__])
def test_bad_request_is_a_value_error_that_shows_it(bad: object) -> None:
    with pytest.raises(ValueError, match=r"threads is .*expected an integer from 1 to") as error:
        thread_count(bad)  # type: ignore[arg-type]
    assert str(bad) in str(error.value)


def test_files_are_read_once_per_mask(tmp_path: Path) -> None:
    cgroup_v2(tmp_path, "/a", {"a": "200000 100000"})
    assert choose(tmp_path).count == 2
    cgroup_v2(tmp_path, "/a", {"a": "300000 100000"})
    assert choose(tmp_path).count == 2
    assert choose(tmp_path, OMP_NUM_THREADS="5").count == 5
    assert choose(tmp_path, cpus=7).cgroup_quota == 3.0


def test_on_this_machine() -> None:
    choice = thread_count(environ={})
    assert 1 <= choice.count <= choice.affinity
    assert choice.count <= choice.physical_cores <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux affinity calls")
def test_a_smaller_affinity_mask_is_noticed() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        choice = thread_count(environ={})
    finally:
        os.sched_setaffinity(0, before)
    assert (choice.count, choice.affinity) == (1, 1)
