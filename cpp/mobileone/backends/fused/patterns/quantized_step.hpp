// Steps of convolutions of 8-bit integers.
#pragma once

#include "mobileone/backends/fused/patterns/quantized_match.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

void emit_quantized_stem(const QuantizedStemMatch& match, PlanBuilder& builder);
void emit_quantized_block(const QuantizedBlockMatch& match, PlanBuilder& builder);

// What profile() calls a step on these kernels.
std::string quantized_implementation(const std::string& details = "");
// Integers of a convolution, and what they are packed as. Looked up when asked for: the network of
// a stored plan has none.
kernels::QuantizedWeights weights_of(NodeId id, const PlanBuilder& builder);
std::string key_of(NodeId id, const PlanBuilder& builder);
// Of a step that writes a map of bytes, which it makes.
TiledStep::Work byte_map_work(NodeId result, int units, std::size_t scratch, PlanBuilder& builder,
                              std::int64_t zero_point);

}  // namespace mobileone::fused
