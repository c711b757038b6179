"""Any ONNX file, re-parameterized: affine regions found, merged in float64, proven and replaced.

wire, document, save      the file; its weights stay where they lie
constants, values, graph  what is known of it
ops/                      operators as affine maps
geometry, kernel          the algebra of such maps: shapes, numbers
forms, cost, regions      every value as a map of those before it; which are worth replacing
emit, rewrite             new nodes in the old ones' place
reference, proof          regions before and after, in float64
runtime, result, verb     the whole file before and after; the report
"""
