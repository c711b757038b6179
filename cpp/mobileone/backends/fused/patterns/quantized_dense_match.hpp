// Dense 3x3 convolutions of 8-bit integers.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::fused {

// A dense 3x3 convolution of stride 1 or 2 from one map of bytes to another.
struct QuantizedDenseMatch : Match {
  NodeId source = -1, conv = -1;
  int stride = 1;
  // The 1x1 convolution that it is of the nine pixels of each window, whose channels are whole
  // blocks.
  kernels::QuantizedBlockShape windows;
};
std::optional<QuantizedDenseMatch> match_quantized_dense(const Cursor& at);

// Whether it is one, wherever it stands.
bool is_quantized_dense(const QuantizedConvolution& op);

}  // namespace mobileone::fused
