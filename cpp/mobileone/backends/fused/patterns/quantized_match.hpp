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

// Depthwise 3x3, then 1x1, from one map of bytes to another; or one of them, where something else
// is between them.
struct QuantizedBlockMatch : Match {
  NodeId source = -1, depthwise = -1, project = -1;
  kernels::QuantizedBlockShape shape;
};
std::optional<QuantizedBlockMatch> match_quantized_block(const Cursor& at);

// A map of bytes as float32 numbers, squeezed and excited, and bytes again.
struct QuantizedExciteMatch : Match {
  NodeId source = -1;
  SqueezeMatch squeeze;
  kernels::ByteScaling scaling;
};
std::optional<QuantizedExciteMatch> match_quantized_excite(const Cursor& at);

// The mean of a map of bytes as float32 numbers.
struct QuantizedPoolMatch : Match {
  NodeId source = -1;
  Dequantize numbers;
};
std::optional<QuantizedPoolMatch> match_quantized_pool(const Cursor& at);

// Whether whoever reads the node takes it for integers: others might not know the layout of bytes.
bool is_read_as_bytes(NodeId id, const PlanBuilder& builder);
// Whether nobody else reads a node for what is wanted: feature levels that are not are no reason.
bool is_only_needed_by(NodeId id, NodeId reader, const PlanBuilder& builder);
// What a block has: depthwise 3x3 and 1x1.
bool runs_on_bytes(const QuantizedConvolution& op);

// What a node's result is where kernels write it as bytes.
Layout byte_layout(std::int64_t zero_point);

}  // namespace mobileone::fused
