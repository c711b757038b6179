// Convolutions of 8-bit integers: where a network has what the quantized kernels do.
#pragma once

#include <optional>

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::fused {

// The network's image, quantized, and a 3x3 convolution of stride 2.
struct QuantizedStemMatch : Match {
  NodeId image = -1, conv = -1;
  kernels::QuantizedStemPlan plan;
};
std::optional<QuantizedStemMatch> match_quantized_stem(const Cursor& at);

// Depthwise 3x3 or 5x5, then 1x1, from one map of bytes to another; or one of them, where something
// else is between them.
struct QuantizedBlockMatch : Match {
  NodeId source = -1, depthwise = -1, project = -1;
  kernels::QuantizedBlockShape shape;
};
std::optional<QuantizedBlockMatch> match_quantized_block(const Cursor& at);

// What a node's result is where kernels write it as bytes.
Layout byte_layout(std::int64_t zero_point);
// Whether the kernels' arithmetic is float32's: nothing leaves the normal numbers.
bool is_usual(double scale);
// Whether whoever reads the node takes it for integers: others might not know the layout of bytes.
bool is_read_as_bytes(NodeId id, const PlanBuilder& builder);
// Whether nobody else reads a node for what is wanted: feature levels that are not are no reason.
bool is_only_needed_by(NodeId id, NodeId reader, const PlanBuilder& builder);
// What a block has: depthwise 3x3 or 5x5, and 1x1.
bool runs_on_bytes(const QuantizedConvolution& op);

}  // namespace mobileone::fused
