"""Tar archives and parquet files: the same pictures as in a folder."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import mobileone
import pytest

from .pictures import SYNSETS, image_folder
from .test_evaluate import network, rows


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("formats") / "val", 8)


def figures(found: mobileone.evaluation.result.Evaluation) -> list[tuple[int, int, float]]:
    return sorted((row["label"], row["prediction"], row["nll"]) for row in rows(found))


@pytest.mark.parametrize("kind", ["cls", "json", "names", "folders"])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_archives(kind: str, suffix: str, folder: Path, tmp_path: Path) -> None:
    model = network()
    expected = figures(mobileone.evaluate(model, folder, batch_size=8))
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for number, part in enumerate((paths[:9], paths[9:])):
        path = tmp_path / f"part-{number:03}{suffix}"
        with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as archive:
            for i, picture in enumerate(part):
                synset = picture.parent.name
                name = f"{number}/{i:04}"
                label = {
                    "cls": (".cls", str(SYNSETS[synset])),
                    "names": (".cls", synset),
                    "json": (".json", json.dumps({"label": SYNSETS[synset], "width": 5})),
                }.get(kind)
                if label is None:
                    name = f"{synset}/{i:04}"
                add(archive, f"{name}{picture.suffix.lower()}", picture.read_bytes())
                if label is not None:
                    add(archive, name + label[0], label[1].encode())
    pattern = tmp_path / ("part-{000..001}" + suffix)
    for data in (pattern, tmp_path, str(tmp_path / "part-*"), sorted(tmp_path.iterdir())):
        for workers in (0, 1) if data is pattern else (0,):
            found = mobileone.evaluate(model, data, workers=workers, batch_size=8)
            assert figures(found) == expected


def test_archives_that_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"x\.tar: expected a tar archive"):
        mobileone.evaluate(network(), path)
    with tarfile.open(path, "w") as archive:
        add(archive, "a.jpg", b"no picture")
        add(archive, "a.json", b"{")
    with pytest.raises(ValueError, match=r"a\.json: expected JSON"):
        mobileone.evaluate(network(), path)
    with tarfile.open(path, "w") as archive:
        add(archive, "a.jpg", b"no picture")
        add(archive, "a.cls", b"7")
    assert [key for key, _ in mobileone.evaluate(network(), path).unreadable] == ["x.tar/a.jpg"]
    with pytest.raises(FileNotFoundError, match=r"none\.tar"):
        mobileone.evaluate(network(), "none.tar")


@pytest.mark.parametrize("names", [False, True])
def test_parquet_files(names: bool, folder: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    model = network()
    expected = figures(mobileone.evaluate(model, folder, batch_size=8))
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    labels = [p.parent.name if names else SYNSETS[p.parent.name] for p in paths]
    table = pyarrow.table({"image": images, "label": labels})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=5)
    found = mobileone.evaluate(model, tmp_path, batch_size=8)
    assert figures(found) == expected
    assert rows(found)[7]["key"] == "a.parquet:7"
    raw = pyarrow.table({"image": [image["bytes"] for image in images], "y": labels})
    parquet.write_table(raw, tmp_path / "a.parquet")
    assert figures(mobileone.evaluate(model, tmp_path, labels="y", batch_size=8)) == expected
    with pytest.raises(ValueError, match="columns image, y; expected one of labels"):
        mobileone.evaluate(model, tmp_path)
    parquet.write_table(pyarrow.table({"label": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="columns label; expected one of images"):
        mobileone.evaluate(model, tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"no file")
    with pytest.raises(ValueError, match=r"a\.parquet: expected a parquet file"):
        mobileone.evaluate(model, tmp_path)
