"""The fingerprint, its tables, and the /proc and /sys readers over made-up trees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from mobileone.util.machine import system as _system
from mobileone.util.machine.environment import Config, fingerprint, show_config
from mobileone.util.tables import MISSING, Column, Table, bytes_text, count_text, number_text

CPUINFO = """processor\t: 0
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu sse4_2 avx2 fma avx512f amx_tile nx avx512_bf16

processor\t: 1
model name\t: Another
"""
MAPS = """7f00-7f01 r--p 00000000 fe:00 12 /opt/a/libgomp-24e2ab19.so.1.0.0
7f01-7f02 r-xp 00001000 fe:00 12 /opt/a/libgomp-24e2ab19.so.1.0.0
7f02-7f03 r-xp 00001000 fe:00 13 /usr/lib/libgomp.so.1
7f03-7f04 r-xp 00001000 fe:00 14 /opt/with blank/libiomp5.so
7f04-7f05 r-xp 00001000 fe:00 15 /opt/libompimpish.so
7f05-7f06 rw-p 00000000 00:00 0
7f06-7f07 rw-p 00000000 00:00 0 [heap]
"""


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class CellCollector(HTMLParser):
    """Collects the text of every table cell, and checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def html_cells(text: str) -> list[str]:
    collector = CellCollector()
    collector.feed(text)
    assert collector.open == []
    return collector.cells


def test_text_table_is_aligned_and_has_no_trailing_blanks() -> None:
    table = Table("T", [Column("a", "left"), Column("long")], [("xyz", "1"), ("", "22")], ["end"])
    expected = ["T", "a    long", "---  ----", "xyz     1", "       22", "end"]
    assert table.to_text().splitlines() == expected


def test_html_table_escapes_and_holds_every_cell() -> None:
    table = Table("<T>", [Column("a&b"), Column("c")], [("<script>", "1"), ("2", "3")], ["n<"])
    text = table.to_html()
    assert html_cells(text) == ["a&b", "c", "<script>", "1", "2", "3"]
    assert "<script>" not in text
    assert "n&lt;" in text
    assert "&lt;T&gt;" in text
    assert "color" not in text, "a table must take the page's colours to read on dark pages"


def test_table_refuses_rows_of_the_wrong_length() -> None:
    with pytest.raises(ValueError, match="row has 1 cells; expected 2"):
        Table("T", [Column("a"), Column("b")], [("only",)])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (4817320, "4.817 M"), (999_999, "1 M"), (1.2e9, "1.2 G")],
)
def test_count_text(value: float, text: str) -> None:
    assert count_text(value) == text


def test_other_number_texts() -> None:
    assert bytes_text(2 * 2**20) == "2 MiB"
    assert bytes_text(100) == "100 B"
    assert number_text(1.23456, 2) == "1.23"
    assert {number_text(None), count_text(None), bytes_text(None)} == {MISSING}


def test_cpu_facts_from_a_made_up_machine(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", CPUINFO)
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    cache = "sys/devices/system/cpu/cpu0/cache/index"
    for i, (level, kind, size) in enumerate([(1, "Data", "48K"), (1, "Instruction", "32K")]):
        for name, value in (("level", level), ("type", kind), ("size", size)):
            write(tmp_path, f"{cache}{i}/{name}", f"{value}\n")
    facts = _system.cpu_facts(tmp_path)
    assert facts["model"] == "Example CPU @ 2.00GHz"
    assert facts["isa_flags"] == ["amx_tile", "avx2", "avx512_bf16", "avx512f", "fma", "sse4_2"]
    assert facts["governor"] == "powersave"
    assert facts["caches"] == [
        {"level": 1, "type": "Data", "bytes": 48 * 1024, "shared_cpus": None}
    ]


def test_a_machine_without_proc_and_sys_gives_absent_facts(tmp_path: Path) -> None:
    facts = _system.cpu_facts(tmp_path)
    assert (facts["caches"], facts["isa_flags"], facts["governor"]) == ([], [], None)
    assert facts["model"]
    assert _system.openmp_runtimes(tmp_path) == []


def test_openmp_runtimes_are_found_once_each_and_by_name_only(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/maps", MAPS)
    assert [r["path"] for r in _system.openmp_runtimes(tmp_path)] == [
        "/opt/a/libgomp-24e2ab19.so.1.0.0",
        "/usr/lib/libgomp.so.1",
        "/opt/with blank/libiomp5.so",
    ]


def test_a_runtime_loaded_by_another_package_is_listed() -> None:
    code = (
        "import torch; from mobileone.util.machine.environment import fingerprint as f; "
        "print([r['path'] for r in f()['openmp_runtimes']])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    assert "torch" in done.stdout
    assert "omp" in done.stdout


def test_fingerprint_is_json_and_complete() -> None:
    facts = json.loads(json.dumps(fingerprint()))
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["cpu"]["logical_cores"] == os.cpu_count()
    assert facts["threads"]["count"] >= 1
    assert facts["threads"]["reason"]
    if hasattr(os, "sched_getaffinity"):
        assert facts["limits"]["affinity"] == sorted(os.sched_getaffinity(0))


def test_fingerprint_records_the_variables_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MOBILEONE_MAX_ISA", "avx2")
    monkeypatch.setenv("SOME_SECRET", "hush")
    facts = fingerprint()
    assert facts["variables"]["OMP_NUM_THREADS"] == "3"
    assert facts["variables"]["MOBILEONE_MAX_ISA"] == "avx2"
    assert facts["threads"]["count"] == 3
    assert "hush" not in json.dumps(facts)


def test_a_bad_omp_num_threads_shows_in_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "lots")
    assert "'lots' ignored" in fingerprint()["threads"]["reason"]


def test_show_config_returns_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    config = show_config()
    assert isinstance(config, Config)
    assert capsys.readouterr().out == ""
    lines = repr(config).splitlines()
    values = {line.split("  ")[0]: line for line in lines}
    facts = config.to_dict()
    assert facts["cpu"]["model"] in values["CPU"]
    assert f"{facts['threads']['count']} ({facts['threads']['reason']})" in values["threads"]
    cells = html_cells(config._repr_html_())
    assert np.__version__ in cells


def test_two_openmp_runtimes_are_pointed_out() -> None:
    facts = {**fingerprint(), "openmp_runtimes": [{"path": "/a/libgomp.so.1"}, {"path": "/b/x"}]}
    assert "2 OpenMP runtimes are loaded" in repr(Config(facts))
    facts["openmp_runtimes"] = facts["openmp_runtimes"][:1]
    assert "runtimes are loaded" not in repr(Config(facts))


def test_engine_facts_come_from_the_extension() -> None:
    from mobileone import _core as core

    engine = fingerprint()["engine"]
    assert engine["onednn"] == core.onednn_version()
    assert engine["build"] == dict(core.build_info())
    assert str(engine["onednn"]) in repr(show_config())
