"""How many threads a plan runs on by default, and why.

Default = min(CPUs in the affinity mask, cgroup CPU quota, physical cores reachable by the mask).
``OMP_NUM_THREADS`` overrides the default, an explicit ``threads=`` overrides both.
"""

from __future__ import annotations

import functools
import math
import operator
import os
import posixpath
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

Folder = str | os.PathLike[str]

__all__ = ["MAX_THREADS", "ThreadChoice", "thread_count"]

# An OpenMP runtime that cannot start a thread ends the process, so absurd counts are refused here.
MAX_THREADS = 1024


@dataclass(frozen=True)
class ThreadChoice:
    """The number of threads and every fact it was chosen from.

    ``affinity`` is the number of CPUs in the process's mask, ``cgroup_quota`` the tightest CPU
    quota in CPUs (None: unlimited), ``physical_cores`` the cores behind the CPUs of the mask,
    ``omp_num_threads`` the raw environment variable (None: not set).
    """

    count: int
    reason: str
    affinity: int
    cgroup_quota: float | None
    physical_cores: int
    omp_num_threads: str | None


def thread_count(
    requested: int | None = None,
    *,
    root: Folder = "/",
    affinity: Collection[int] | None = None,
    environ: Mapping[str, str] | None = None,
) -> ThreadChoice:
    """Choose the number of threads.

    ``requested`` is an integer in [1, MAX_THREADS] or None for the default; anything else is a
    ValueError. ``root`` is where ``proc`` and ``sys`` are found, ``affinity`` the CPUs of the mask
    and ``environ`` the environment; the defaults are those of this process. Mask and environment
    are looked at in every call, quota and topology once per process and mask.
    """
    environ = os.environ if environ is None else environ
    cpus = _affinity_mask() if affinity is None else frozenset(affinity)
    quota, cores = _limits(os.fspath(root), cpus)
    omp = environ.get("OMP_NUM_THREADS")

    def choice(count: int, reason: str) -> ThreadChoice:
        return ThreadChoice(count, reason, len(cpus), quota, cores, omp)

    if requested is not None:
        return choice(_validated(requested), "threads argument")
    default, reason = _default(len(cpus), quota, cores)
    if omp is None:
        return choice(default, reason)
    from_omp = _parse_omp_num_threads(omp)
    if from_omp is not None:
        return choice(from_omp, "OMP_NUM_THREADS")
    warnings.warn(
        f"OMP_NUM_THREADS is {omp!r}; expected an integer from 1 to {MAX_THREADS} or a list that "
        f"starts with one. It is ignored: {default} threads ({reason}).",
        RuntimeWarning,
        stacklevel=2,
    )
    return choice(default, f"{reason}; OMP_NUM_THREADS={omp!r} ignored")


@functools.lru_cache(maxsize=64)
def _limits(root: str, cpus: frozenset[int]) -> tuple[float | None, int]:
    """Quota and cores, read once per mask: every call of a model asks for its threads."""
    return cgroup_quota(root), physical_cores(cpus, root)


def _validated(requested: int) -> int:
    expected = f"expected an integer from 1 to {MAX_THREADS}, or None for the default"
    if isinstance(requested, bool):
        raise ValueError(f"threads is {requested!r}; {expected}")
    try:
        count = operator.index(requested)
    except TypeError:
        raise ValueError(f"threads is {requested!r}; {expected}") from None
    if not 1 <= count <= MAX_THREADS:
        raise ValueError(f"threads is {count}; {expected}")
    return count


def _default(affinity: int, quota: float | None, cores: int) -> tuple[int, str]:
    limits = [(cores, "physical cores"), (affinity, "affinity mask")]
    if quota is not None:
        limits.append((max(1, math.ceil(quota)), f"cgroup quota of {quota:g} CPUs"))
    return min(limits, key=lambda limit: limit[0])


def _parse_omp_num_threads(text: str) -> int | None:
    """The first number of an OMP_NUM_THREADS list (OpenMP 5.0, section 6.2), None if malformed."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\+?[0-9]{1,9}", part) for part in parts):
        return None
    first = int(parts[0])
    return first if 1 <= first <= MAX_THREADS else None


def _affinity_mask() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def physical_cores(cpus: Collection[int], root: Folder = "/") -> int:
    """The number of distinct cores behind ``cpus``: two hyper-threads of one core count once."""
    cores: set[str] = set()
    for cpu in cpus:
        folder = os.path.join(root, f"sys/devices/system/cpu/cpu{cpu}/topology")
        siblings = _read(folder, "core_cpus_list") or _read(folder, "thread_siblings_list")
        cores.add(siblings or f"cpu{cpu}")
    return max(1, len(cores))


def cgroup_quota(root: Folder = "/") -> float | None:
    """The tightest CPU quota over this process's cgroup and all its ancestors, in CPUs.

    Understands cgroup v2 (``cpu.max``), v1 (``cpu.cfs_quota_us``) and both at once. None where
    nothing limits the process.
    """
    quotas = []
    for group, mount, version in _cgroup_folders(root):
        for folder in _up_to(mount, group):
            quota = _quota_v2(folder) if version == 2 else _quota_v1(folder)
            if quota is not None:
                quotas.append(quota)
    return min(quotas, default=None)


def _up_to(mount: str, group: str) -> Iterator[str]:
    """The group's folder and all above it, the mount point last."""
    yield group
    while group != mount:
        group = posixpath.dirname(group)
        yield group


def _quota_v2(folder: str) -> float | None:
    fields = (_read(folder, "cpu.max") or "max").split()
    if not fields or fields[0] == "max":
        return None
    return _ratio(fields[0], fields[1] if len(fields) > 1 else "100000")


def _quota_v1(folder: str) -> float | None:
    quota = _read(folder, "cpu.cfs_quota_us")
    period = _read(folder, "cpu.cfs_period_us")
    return None if quota is None or period is None else _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    try:
        numerator, denominator = int(quota), int(period)
    except ValueError:
        return None
    return numerator / denominator if numerator > 0 and denominator > 0 else None


def _cgroup_folders(root: Folder) -> Iterator[tuple[str, str, int]]:
    """(folder of this process's group, mount point, version) per hierarchy that limits CPUs."""
    mounts = _cgroup_mounts(root)
    for line in (_read(root, "proc/self/cgroup") or "").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            version = 2
        elif "cpu" in controllers.split(","):
            version = 1
        else:
            continue
        if version in mounts:
            mount, mounted = mounts[version]
            inside = posixpath.join(mount, _relative(path, mounted).lstrip("/"))
            yield posixpath.normpath(inside), mount, version


def _relative(path: str, mounted: str) -> str:
    """``path`` below the hierarchy's subtree ``mounted``; its top when the path lies outside."""
    if ".." in path.split("/"):
        return ""
    group, top = f"{path}/", f"{mounted.rstrip('/')}/"
    return group[len(top) :] if group.startswith(top) else path


def _cgroup_mounts(root: Folder) -> dict[int, tuple[str, str]]:
    """cgroup version -> (mount point, the subtree mounted there), from ``mountinfo`` (proc(5))."""
    mounts: dict[int, tuple[str, str]] = {}
    for line in (_read(root, "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) < 5 or len(right) < 3:
            continue
        mount = posixpath.normpath(f"{os.fspath(root)}/{_unescape(left[4])}")
        if right[0] == "cgroup2":
            mounts.setdefault(2, (mount, _unescape(left[3])))
        elif right[0] == "cgroup" and "cpu" in right[2].split(","):
            mounts.setdefault(1, (mount, _unescape(left[3])))
    return mounts


def _unescape(field: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


def _read(folder: Folder, name: str) -> str | None:
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
