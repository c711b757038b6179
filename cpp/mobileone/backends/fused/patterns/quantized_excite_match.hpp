// Squeeze-and-excitation and pools of 8-bit integers, in float32 on the way.
#pragma once

#include "mobileone/backends/fused/patterns/quantized_match.hpp"

namespace mobileone::fused {

// A map of bytes as float32 numbers, squeezed and excited, a ReLU or none.
struct QuantizedExcite : Match {
  NodeId source = -1;
  SqueezeMatch squeeze;
  Dequantize numbers;
  bool relu = false;
};

// One that becomes bytes again.
struct QuantizedExciteMatch : QuantizedExcite {
  kernels::ByteScaling scaling;
  float result_scale = 1.f;
};
std::optional<QuantizedExciteMatch> match_quantized_excite(const Cursor& at);

// One of which nothing but the mean is wanted.
struct QuantizedExcitePoolMatch : QuantizedExcite {};
std::optional<QuantizedExcitePoolMatch> match_quantized_excite_pool(const Cursor& at);

// The mean of a map of bytes as float32 numbers.
struct QuantizedPoolMatch : Match {
  NodeId source = -1;
  Dequantize numbers;
};
std::optional<QuantizedPoolMatch> match_quantized_pool(const Cursor& at);

}  // namespace mobileone::fused
