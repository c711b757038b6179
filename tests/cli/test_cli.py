"""The command line on the engine: what it prints, what it writes, how it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.cli import fuse, info, main
from PIL import Image

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def train_time(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "net.safetensors"
    mobileone.create_model("mobileone_mu0", seed=2).save(path)
    return path


def test_fuse_writes_the_inference_form(train_time: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "fused.safetensors"
    assert main(["fuse", str(train_time), str(target)]) == 0
    text = capsys.readouterr().out
    assert "train-time" in text
    assert str(target) in text
    fused = mobileone.load(target)
    assert fused.form == "inference"
    assert mobileone.verify(mobileone.load(train_time), fused)


def test_fuse_writes_nothing_where_the_forms_differ(
    train_time: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = mobileone.reparameterize(mobileone.create_model("mobileone_mu0", seed=5))
    monkeypatch.setattr(fuse, "reparameterize", lambda source: other)
    target = tmp_path / "fused.safetensors"
    assert main(["fuse", str(train_time), str(target)]) == 1
    assert "not equivalent" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".npz", ".pth", ".onnx"])
def test_fuse_writes_what_the_suffix_says(suffix: str, train_time: Path, tmp_path: Path) -> None:
    target = tmp_path / f"fused{suffix}"
    assert main(["fuse", str(train_time), str(target)]) == 0
    if suffix == ".onnx":
        onnx = pytest.importorskip("onnx")
        onnx.checker.check_model(onnx.load(target))
    else:
        assert mobileone.verify(mobileone.load(train_time), mobileone.load(target))


def test_fuse_keeps_the_file_that_it_reads(
    train_time: Path, tmp_path: Path, capsys: Capture
) -> None:
    before = train_time.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(train_time)
    for target in (train_time, tmp_path / "link.safetensors"):
        assert main(["fuse", str(train_time), str(target)]) == 2
        assert "is the file that is read; expected another one" in capsys.readouterr().err
    assert train_time.read_bytes() == before


def test_fuse_refuses_other_suffixes_before_it_works(tmp_path: Path, capsys: Capture) -> None:
    assert main(["fuse", str(tmp_path / "none.pth"), str(tmp_path / "x.tflite")]) == 2
    assert "weights are not saved as .tflite" in capsys.readouterr().err


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone with two classifiers beside a decoder."""
    state = mobileone.create_model("mobileone_mu0", num_classes=7, seed=2).state_dict()
    larger = {f"net.{k}": v for k, v in state.items() if not k.startswith("linear.")}
    for name in ("fc_yaw", "fc_pitch"):
        larger |= {f"{name}.{k[7:]}": v for k, v in state.items() if k.startswith("linear.")}
    path = tmp_path_factory.mktemp("parts") / "part.npz"
    np.savez(path, **larger, **{"decoder.weight": np.zeros((3, 3), np.float32)})
    return path


def test_commands_take_the_options_of_loading(part: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["info", str(part)]) == 1
    assert "head='fc_yaw' takes that one" in capsys.readouterr().err
    options = ["--no-strict", "--head", "fc_yaw", "--arch", "mobileone_mu0", "--num-classes", "7"]
    small = ["--runs", "2", "--input-size", "64", "--threads", "1"]
    target = tmp_path / "x.safetensors"
    for command in (
        ["info", str(part)],
        ["fuse", str(part), str(target)],
        ["verify", str(part)],
        ["bench", str(part), *small],
        ["profile", str(part), *small],
    ):
        assert main([*command, *options]) == 0, command
    assert mobileone.load(target).num_classes == 7
    capsys.readouterr()
    assert main(["info", str(part), "--no-strict", "--num-classes", "0"]) == 0
    assert main(["info", str(part), "--strict", "--head", "fc_yaw"]) == 1
    assert "strict=False loads the network without them" in capsys.readouterr().err
    assert main(["info", str(part), *options[:3], "--weights", "ema"]) == 1
    assert main(["info", "mobileone_mu0", "--head", "x"]) == 2
    assert "--head: for checkpoint files" in capsys.readouterr().err


def test_fields_that_weights_do_not_show(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, **mobileone.create_model("mobilevit_xxs", num_classes=3).state_dict())
    assert main(["info", str(path), "--config", "heads=2", "--config", "patch=4,2"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"config heads +2\n", text)
    assert re.search(r"config patch +\[4, 2\]\n", text)
    assert main(["info", str(path), "--config", "heads=two"]) == 2
    assert "config['heads'] is 'two'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["info", str(path), "--config", "heads"])
    assert "expected KEY=VALUE" in capsys.readouterr().err


def test_verify_tells_equal_from_different(train_time: Path, tmp_path: Path) -> None:
    assert main(["verify", str(train_time)]) == 0
    assert main(["verify", str(train_time), str(train_time)]) == 0
    other = tmp_path / "other.safetensors"
    mobileone.create_model("mobileone_mu0", seed=9).save(other)
    assert main(["verify", str(train_time), str(other)]) == 1


def test_bench_prints_and_saves(train_time: Path, tmp_path: Path, capsys: Capture) -> None:
    saved = tmp_path / "r.json"
    options = ["--runs", "4", "--warmup", "1", "--rounds", "2", "--threads", "1"]
    options += ["--input-size", "64x48", "--batch-size", "2", "--json", str(saved)]
    assert main(["bench", "mobileone_mu0", str(train_time), *options]) == 0
    text = capsys.readouterr().out
    assert "net.safetensors" in text
    assert "train-time (multi-branch)" in text
    rows = json.loads(saved.read_text())["rows"]
    assert [row["label"] for row in rows] == ["mobileone_mu0", "net.safetensors"]
    assert [row["input_shape"] for row in rows] == [[2, 3, 64, 48]] * 2
    assert [row["runs"] for row in rows] == [4, 4]


def test_bench_of_both_forms_with_a_plot(tmp_path: Path, capsys: Capture) -> None:
    import matplotlib

    matplotlib.use("Agg")
    plot = tmp_path / "r.png"
    options = ["--runs", "2", "--warmup", "0", "--threads", "1", "--plot", str(plot)]
    assert main(["bench", "mobileone_mu0", "--both-forms", *options]) == 0
    text = capsys.readouterr().out
    assert text.index("train-time (multi-branch)") < text.index("inference (fused)")
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_profile_prints_and_saves(tmp_path: Path, capsys: Capture) -> None:
    saved, trace = tmp_path / "p.json", tmp_path / "t.json"
    options = ["--runs", "2", "--threads", "1", "--json", str(saved), "--trace", str(trace)]
    assert main(["profile", "mobileone_mu0", *options]) == 0
    assert "overhead" in capsys.readouterr().out
    data = json.loads(saved.read_text())
    assert sum(data["times_ns"]) == data["wall_ns"]
    assert json.loads(trace.read_text())["traceEvents"]


def test_info_describes_the_machine_or_a_model(train_time: Path, capsys: Capture) -> None:
    assert main(["info"]) == 0
    assert "oneDNN" in capsys.readouterr().out
    assert main(["info", str(train_time)]) == 0
    text = capsys.readouterr().out
    model = mobileone.load(train_time)
    assert str(model.num_params) in text
    assert "train-time" in text


def test_every_command_takes_mobilevit(tmp_path: Path, capsys: Capture) -> None:
    source, target = tmp_path / "net.safetensors", tmp_path / "fused.safetensors"
    mobileone.create_model(
        "mobilevit_custom",
        widths=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        transformer_widths=[0, 0, 0, 16],
        ffn_widths=[0, 0, 0, 32],
        transformer_depths=[0, 0, 0, 1],
        expansion=2.0,
        head_width=32,
        classifier_dropout=0.1,
        num_classes=7,
    ).save(source)
    assert main(["fuse", str(source), str(target)]) == 0
    assert main(["verify", str(source), str(target)]) == 0
    options = ["--runs", "4", "--threads", "1", "--input-size", "65x48"]
    assert main(["bench", str(source), str(target), *options]) == 0
    capsys.readouterr()
    assert main(["profile", str(target), *options]) == 0
    assert "Attention" in capsys.readouterr().out
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((80, 90, 3), 7, np.uint8)).save(photo)
    assert main(["predict", str(target), str(photo), "--topk", "2"]) == 0
    assert capsys.readouterr().out.count("%") == 2
    assert main(["info", str(target)]) == 0
    text = capsys.readouterr().out
    assert "mobilevit_custom" in text
    assert "BGR" in text


def test_help_is_for_the_command_line(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert ">>>" not in capsys.readouterr().out


def test_demo(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "demo.png"
    options = ["--model", "mobileone_mu0", "--threads", "1", "--runs", "3", "--out", str(out)]
    assert main(["demo", *options]) == 0
    captured = capsys.readouterr()
    assert "seed 0" in captured.out
    assert "latency" in captured.out
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fuse", "{tmp}/none.pth", "{tmp}/x.safetensors"], 1, "none.pth"),
        (["verify", "{tmp}/none.pth"], 1, "none.pth"),
        (["bench", "mobileone_s9"], 2, "mobileone_s9"),
        (["bench", "mobileone_mu0", "--runs", "0"], 2, "runs is 0"),
        (["bench", "mobileone_mu0", "--threads", "0"], 2, "threads is 0"),
        (["bench", "mobileone_mu0", "--input-size", "8"], 2, "input_size is 8"),
        (["profile", "{tmp}/broken.pth"], 1, "broken.pth"),
        (["info", "{tmp}"], 1, "{tmp}"),
        (["demo", "--model", "resnet"], 2, "resnet"),
        (["demo", "--image", "{tmp}/broken.pth", "--model", "mobileone_mu0"], 1, "broken.pth"),
        (["demo", "--image", "{tmp}/none.png", "--model", "mobileone_mu0"], 1, "none.png"),
    ],
)
def test_errors_are_one_line_on_stderr(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "broken.pth").write_bytes(b"neither a checkpoint nor an image")
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("mobileone: error: ")
    assert message.format(tmp=tmp_path) in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["fuse", "one"], ["bench", "m", "--input-size", "12by7"]]
)
def test_usage_errors_exit_with_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_interrupt_has_its_own_code(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "show_config", pressed)
    assert main(["info"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_warnings_are_one_line_on_stderr(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    monkeypatch.setenv("OMP_NUM_THREADS", "zero")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["info"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("mobileone: warning: OMP_NUM_THREADS is 'zero'")
    assert len(captured.err.splitlines()) == 1
    assert "'zero' ignored" in captured.out


# Says when the first sample is in, so that the test knows when to press Ctrl-C. Python leaves
# SIGINT ignored where its parent did, as a script does for what it starts in the background.
MARK_FIRST_SAMPLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from mobileone.measure.benchmark_result import Measurement
add = Measurement.add
def marked(self, index, samples):
    add(self, index, samples)
    if index == 0:
        print("measuring", flush=True)
Measurement.add = marked
"""


def run_module(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mobileone", *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, text=True, env=env, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_the_package_runs_as_the_command_does() -> None:
    done = run_module("--version", capture_output=True)
    assert (done.returncode, done.stdout.strip()) == (0, mobileone.__version__), done.stderr
    done = run_module("fuse", "--strict", capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: mobileone fuse")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_module("info", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_ctrl_c_prints_what_was_measured() -> None:
    code = "import sys; from mobileone.cli import main; sys.exit(main())"
    arguments = ["bench", "mobileone_mu0", "--runs", "10000000", "--rounds", "1000000"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-u", "-c", MARK_FIRST_SAMPLE + code, *arguments, "--threads", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "measuring\n"
        process.send_signal(signal.SIGINT)
        try:
            out, error = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()  # or leaving the block would wait for it
            raise
    assert process.returncode == 130, error
    assert "interrupted: the statistics cover the runs made until then" in out
    assert "Traceback" not in error


def run_with_numpy_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where every optional package is absent."""
    hidden = ["matplotlib", "PIL", "pandas", "tqdm", "torch", "threadpoolctl", "safetensors"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden})); "
        "from mobileone.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_bench_needs_numpy_alone() -> None:
    done = run_with_numpy_alone("bench", "mobileone_mu0", "--runs", "2", "--threads", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "latency" in done.stdout


def test_demo_needs_numpy_alone_and_says_what_more_there_is(tmp_path: Path) -> None:
    options = ["--model", "mobileone_mu0", "--runs", "2", "--threads", "1"]
    done = run_with_numpy_alone("demo", *options, "--out", str(tmp_path / "d.png"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Grace Hopper" in done.stdout
    assert "no plot saved" in done.stdout
    assert done.stdout.count("pip install 'mobileone[plot]'") == 1


def test_a_plot_without_matplotlib_fails_before_the_measurement(tmp_path: Path) -> None:
    done = run_with_numpy_alone("bench", "mobileone_mu0", "--plot", str(tmp_path / "p.png"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "mobileone: error: plots need matplotlib: pip install 'mobileone[plot]'\n"
    )


def test_an_image_without_pillow_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"any")
    done = run_with_numpy_alone(
        "demo", "--model", "mobileone_mu0", "--image", str(tmp_path / "p.png")
    )
    assert done.returncode == 1
    assert "mobileone[image]" in done.stderr
