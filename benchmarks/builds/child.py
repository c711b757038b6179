"""Runs a build's networks on request; a script for the build's own interpreter.

Imports nothing of this repository: only `mobileone` as that interpreter has it. Requests (number,
name, arguments) and answers (number, "ok", value) are pickled tuples over an inherited socket, as
in `benchmarks.runtimes.worker`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import mobileone
import numpy as np

_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Answer requests until the parent hangs up."""
    # The parent stops idle workers; a stopped process must not outlive a killed parent.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    connection = Connection(descriptor)
    worker = _Worker()
    while True:
        try:
            number, name, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (number, "ok", getattr(worker, name)(*arguments))
        except Exception as error:
            answer = (number, "error", f"{type(error).__name__}: {error}".splitlines()[0])
        connection.send(answer)


class _Worker:
    """One method per request."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self.compiled: Any = None

    def version(self) -> str:
        """Of the package, and where it is."""
        return f"{mobileone.__version__} in {os.path.dirname(mobileone.__file__)}"

    def weights(self, name: str) -> dict[str, Any]:
        """The network's weights in train-time form; later requests are about this network."""
        train_time = _seeded(name)
        self.models = {
            "train-time": train_time,
            "inference": mobileone.reparameterize(train_time),
        }
        return dict(train_time.state_dict())

    def fused_weights(self) -> dict[str, Any]:
        """The weights in inference form."""
        return dict(self.models["inference"].state_dict())

    def outputs(self, form: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """Logits and features at every level."""
        model, x = self.models[form], images(shape)
        levels = {f"features {i}": level for i, level in enumerate(model.features(x))}
        return {"logits": model(x)} | levels

    def compiled_logits(self, shape: tuple[int, ...], algorithm: str) -> dict[str, Any]:
        """Logits of the inference form with one algorithm."""
        plan = self.models["inference"].compile(shape, algorithm=algorithm)
        return {"logits": plan(images(shape))}

    def training_step(self, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """Logits of a step in train mode, and the weights that it leaves behind."""
        model = _seeded(name).train()
        logits = model(images(shape))
        return {"logits": logits} | dict(model.state_dict())

    def prepare(self, name: str, shape: tuple[int, ...], threads: int) -> None:
        """Compile the inference form, for `time`."""
        x = images(shape)
        compiled = mobileone.reparameterize(_seeded(name)).compile(shape, threads=threads)
        out = compiled(x)
        self.compiled = lambda: compiled(x, out=out)

    def time(self, settle_s: float, turn_s: float) -> list[int]:
        """Nanoseconds of each run of ``turn_s`` seconds, after ``settle_s`` untimed seconds."""
        gc.disable()
        try:
            _samples(self.compiled, settle_s)
            return _samples(self.compiled, turn_s)
        finally:
            gc.enable()

    def store(self, name: str, shape: tuple[int, ...], folder: str) -> None:
        """What `cold_child` starts from, as this build writes it."""
        model = mobileone.reparameterize(_seeded(name))
        model.save(os.path.join(folder, "fused.safetensors"))
        model.save_plan(os.path.join(folder, "plan"), shape)


def images(shape: tuple[int, ...]) -> Any:
    """Seeded N(0, 1) noise."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _seeded(name: str) -> Any:
    """The train-time network with seeded weights, biases and running statistics.

    Not those of create_model: its biases are 0, and builds differ in how they draw and settle.
    """
    state = dict(mobileone.create_model(name, seed=0).state_dict())
    generator = np.random.default_rng(1)
    for key in sorted(state):
        value = state[key]
        if value.dtype != np.float32:
            continue
        noise = generator.standard_normal(value.shape)
        if value.ndim > 1:
            drawn = noise * np.sqrt(2 / (value.size // len(value)))
        elif key.endswith("running_var"):
            drawn = 0.5 + np.abs(noise)
        elif key.endswith("weight"):
            drawn = 0.5 + 0.1 * noise
        else:
            drawn = 0.1 * noise
        state[key] = drawn.astype(np.float32)
    return mobileone.load(state, arch=name)


def _samples(run: Any, seconds: float) -> list[int]:
    """Nanoseconds of each run until the time is over; of one at least."""
    samples: list[int] = []
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    while not samples or clock() < end:
        start = clock()
        run()
        samples.append(clock() - start)
    return samples


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)
