"""How each operator becomes nodes of a graph, by ONNX's names."""
