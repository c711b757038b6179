// The classifier in integers: pooled features are quantized, its results are float32 numbers.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/byte_conversion.hpp"
#include "mobileone/kernels/quantized/byte_linear.hpp"

namespace mobileone::fused {

struct QuantizedLinearMatch : Match {
  NodeId source = -1;          // [N, in, 1, 1], float32
  NodeId conv = -1;            // 1x1, whose result is reshaped to [N, out]
  kernels::ByteMeaning bytes;  // of the quantized features
  kernels::QuantizedLinearPlan plan;
};

std::optional<QuantizedLinearMatch> match_quantized_linear(const Cursor& at);

}  // namespace mobileone::fused
