"""Segmenters and detectors beside ONNX Runtime and OpenVINO: the network alone, and everything from
decoded pixels to boxes or a class map. One thread, interleaved. The other pipelines resize with
Pillow, or with our engine, whose pixels are the same.

    python -m benchmarks.tasks deeplabv3 mobileone_s1 --seconds 40
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
from mobileone.data.config import DataConfig
from mobileone.data.pixels import normalise
from mobileone.data.whole import resized_input
from PIL import Image

PICTURE = (480, 640)
RULE = {"score": 0.01, "overlap": 0.5, "most": 200}

Run = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("head", choices=("deeplabv3", "ssdlite"))
    parser.add_argument("backbone")
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    detector = arguments.head == "ssdlite"
    create = mobileone.create_detector if detector else mobileone.create_segmenter
    model = mobileone.reparameterize(create(arguments.backbone, seed=1))
    with tempfile.TemporaryDirectory() as folder:
        contenders = _contenders(model, Path(folder), detector)
        times = _interleaved(contenders, arguments.seconds)
    print(f"{model.name} at {model.input_size}, one thread, {len(times['ours'])} rounds")
    for name, own in times.items():
        base = times["ours pipeline" if "pipeline" in name else "ours"]
        ratios = own / base
        print(
            f"{name:34} least {own.min():8.2f} ms, median {np.median(own):8.2f} ms, "
            f"x ours: least {own.min() / base.min():5.2f}, median {np.median(ratios):5.2f}"
        )


def _contenders(model: Any, folder: Path, detector: bool) -> dict[str, Run]:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (*PICTURE, 3), dtype=np.uint8)
    size = model.input_size
    x = resized_input(pixels, size, model.data_config)
    raw, whole = folder / "raw.onnx", folder / "whole.onnx"
    model.export_onnx(raw, input_size=size, dynamic_batch=False)
    if detector:
        model.export_onnx(whole, input_size=size, dynamic_batch=False, suppression=RULE)
    else:
        _with_class_map(raw, whole)
    compiled = model.compile((1, 3, *size), threads=1)
    ort_raw, ort_whole, vino = _ort(raw), _ort(whole), _openvino(raw)

    def ours() -> Any:
        results = compiled(resized_input(pixels, size, model.data_config))
        if detector:
            from mobileone.tasks.detection.boxes import boxes_of_maps
            from mobileone.tasks.detection.rule import DetectionRule

            return boxes_of_maps(results, model.num_classes, [PICTURE], DetectionRule(**RULE))
        from mobileone._core import label_map

        return label_map(results[0], *PICTURE, False)

    def theirs(prepare: Run) -> Any:
        results = ort_whole(prepare(pixels, size, model.data_config))
        return _best(*results) if detector else results

    return {
        "ours": lambda: compiled(x),
        "null (ours again)": lambda: compiled(x),
        "ONNX Runtime": lambda: ort_raw(x),
        "OpenVINO": lambda: vino(x),
        "ours pipeline": ours,
        "ONNX Runtime pipeline": lambda: theirs(_with_pillow),
        "ONNX Runtime pipeline, our resize": lambda: theirs(resized_input),
    }


def _with_pillow(pixels: Any, size: tuple[int, int], config: DataConfig) -> Any:
    image = Image.fromarray(pixels)
    method = Image.Resampling[config.interpolation.upper()]
    resized = np.asarray(image.resize((size[1], size[0]), method))
    return normalise(resized.transpose(2, 0, 1)[None], config)


def _best(boxes: Any, scores: Any, selected: Any) -> Any:
    """The best boxes of all classes, in the picture's pixels."""
    found = scores[0, selected[:, 1], selected[:, 2]]
    order = np.argsort(-found, kind="stable")[: RULE["most"]]
    scale = np.array([*PICTURE[::-1], *PICTURE[::-1]])
    return np.clip(boxes[0, selected[order, 2]] * scale, 0, scale), found[order]


def _with_class_map(raw: Path, whole: Path) -> None:
    """The network's file with its logits resized to the picture, and the largest one's class."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    proto = onnx.load(raw)
    graph = proto.graph
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    sizes = numpy_helper.from_array(np.array([1, classes, *PICTURE], np.int64), "picture")
    graph.initializer.append(sizes)
    resize = helper.make_node(
        "Resize",
        ["logits", "", "", "picture"],
        ["resized"],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    largest = helper.make_node("ArgMax", ["resized"], ["labels"], axis=1, keepdims=0)
    graph.node.extend([resize, largest])
    del graph.output[:]
    labels = helper.make_tensor_value_info("labels", TensorProto.INT64, [1, *PICTURE])
    graph.output.append(labels)
    onnx.save(proto, whole)


def _ort(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"images": x})


def _openvino(path: Path) -> Run:
    import openvino

    core = openvino.Core()
    config = {
        "INFERENCE_NUM_THREADS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(core.read_model(path), "CPU", config).create_infer_request()
    return lambda x: request.infer({0: x}, share_inputs=True, share_outputs=True)


def _interleaved(contenders: dict[str, Run], seconds: float) -> dict[str, Any]:
    """Milliseconds of each, a run of each per round; the order turns from round to round."""
    for run in contenders.values():
        run()
        run()
    names, times = list(contenders), {name: [] for name in contenders}
    stop, turn = time.perf_counter() + seconds, 0
    while time.perf_counter() < stop or turn < 5:
        for i in range(len(names)):
            name = names[(i + turn) % len(names)]
            start = time.perf_counter_ns()
            contenders[name]()
            times[name].append((time.perf_counter_ns() - start) / 1e6)
        turn += 1
    return {name: np.array(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
