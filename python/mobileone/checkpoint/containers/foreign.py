"""What a file is that is no checkpoint, in words, and what to do with it."""

from __future__ import annotations

from collections.abc import Iterable

_OTHERS = (
    (257, b"ustar", "a tar archive (torch before 0.2 wrote those)"),
    (0, b"\x1f\x8b", "a gzip file: unpack it first"),
    (0, b"\xfd7zXZ", "an xz file: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file: unpack it first"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes them: expected weights of PyTorch or NumPy"),
    (0, b"\x93NUMPY", "a NumPy array: expected a .npz archive of arrays by name"),
    (0, b"\x93M1PLAN", "a stored plan: mobileone.load_plan opens it"),
    (4, b"TFL3", "a TensorFlow Lite model: expected the weights that it was made from"),
    (0, b"GGUF", "a GGUF file, which holds language models"),
    (0, b"<?xml", "an XML file, as OpenVINO describes networks in: expected weights by name"),
    (0, b"<", "a web page: was the download redirected?"),
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
)
_ONNX = (
    "an ONNX file, whose weights are not read: expected the checkpoint that it was exported from; "
    "ONNX Runtime runs the file itself"
)
# Tags that may follow ir_version in ONNX's ModelProto: producer_name, its version, domain, graph.
_PRODUCER, _AFTER_VERSION = 0x12, b"\x1a\x22\x3a\x42"


def foreign_file(data: memoryview) -> str:
    """What a file is by its first bytes, e.g. "an ONNX file, ..."; "" where that is not known."""
    for offset, magic, name in _OTHERS:
        if bytes(data[offset : offset + len(magic)]) == magic:
            return name
    head = bytes(data[:160])
    if len(head) > 4 and head[0] == 0x08 and 0 < head[1] < 0x40:
        # Core ML's models begin alike; there a message stands where ONNX has its producer's name.
        named = head[2] == _PRODUCER and head[4 : 4 + head[3]].isascii()
        named = named and str(head[4 : 4 + head[3]], "latin-1").isprintable()
        if named or head[2] in _AFTER_VERSION:
            return _ONNX
    return ""


def foreign_archive(names: Iterable[str]) -> str:
    """What a zip archive is by the names of its entries; "" where that is not known."""
    last = {name.rpartition("/")[2] for name in names}
    if last & {"archive_format", "serialized_exported_program.json"}:
        return (
            "a torch.export archive (.pt2), whose program is not run: save its weights, "
            "torch.save(torch.export.load(path).state_dict, 'weights.pth')"
        )
    if "model.weights.h5" in last:
        return "a Keras file: expected weights of PyTorch or NumPy"
    return ""
