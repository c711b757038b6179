"""`mobileone fuse`: a checkpoint or an ONNX file, re-parameterized and proven."""

from __future__ import annotations

import argparse
import os
import sys

from mobileone.checkpoint.export import kind_of_file
from mobileone.cli.loading import add_load_options, load_options, refuse_options
from mobileone.cli.summary import forms_table
from mobileone.interchange.onnx.fuse.verb import fuse_onnx
from mobileone.model import load, reparameterize
from mobileone.util.files import check_writable
from mobileone.verification.stages import verify

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("source", metavar="SRC", help="a checkpoint file, or any .onnx file")
    target = parser.add_mutually_exclusive_group(required=True)
    kind = "the file to write: .safetensors, .npz, .pth, .onnx; .onnx of an .onnx file"
    target.add_argument("target", metavar="DST", nargs="?", help=kind)
    target.add_argument("-o", "--output", dest="target", metavar="DST", help="the same")
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shows both forms and the proof, and writes the file; the exit code."""
    _check_other(arguments.source, arguments.target)
    if arguments.source.lower().endswith(".onnx"):
        refuse_options(arguments, f"{arguments.source} is fused as it is")
        return _fuse_onnx(arguments.source, arguments.target)
    if not arguments.target.lower().endswith(".onnx"):
        kind_of_file(arguments.target)  # rather now than after the work
    check_writable(arguments.target)
    before = load(arguments.source, **load_options(arguments))
    after = reparameterize(before)
    print(forms_table({"before": before, "after": after}).to_text())
    equivalence = verify(before, after)
    print(f"\n{equivalence!r}")
    if not equivalence:
        print(f"mobileone: error: not equivalent; {arguments.target} not written", file=sys.stderr)
        return 1
    after.save(arguments.target)
    print(f"\nsaved: {arguments.target}")
    return 0


def _check_other(source: str, target: str) -> None:
    """ValueError where the only weights that can be trained on would be replaced."""
    if os.path.exists(source) and os.path.exists(target) and os.path.samefile(source, target):
        raise ValueError(f"{target} is the file that is read; expected another one to write")


def _fuse_onnx(source: str, target: str) -> int:
    fusion = fuse_onnx(source, target)
    print(repr(fusion))
    if not fusion:
        print(f"mobileone: error: not equivalent; {target} not written", file=sys.stderr)
        return 1
    print(f"\nsaved: {target}")
    return 0
