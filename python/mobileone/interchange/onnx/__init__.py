"""ONNX: a network's graph, operator by operator."""
