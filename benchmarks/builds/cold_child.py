"""Imports a build, opens a stored network, runs once: what a cold start is. A script."""

import os
import sys

import mobileone
import numpy as np

kind, path, descriptor = sys.argv[1], sys.argv[2], int(sys.argv[-1])
shape = tuple(map(int, sys.argv[3].split("x")))
load = mobileone.load_plan if kind == "plan" else mobileone.load
logits = load(path)(np.zeros(shape, np.float32))
os.write(descriptor, b"." if logits.size else b"!")
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM:"))
os.write(descriptor, peak.split()[1].encode())
os._exit(0)  # without the interpreter's shutdown
