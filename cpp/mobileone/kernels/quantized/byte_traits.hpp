// What an instruction set's vectors of bytes are like, and a convolution's integers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// What planning and packing need to know of an instruction set.
struct ByteTraits {
  int sums;         // 32-bit integers of a vector
  int pixels;       // of a projection's microkernel, which has two vectors of outputs
  int weight_size;  // bytes that a weight is packed in: 2 where products are of 16-bit integers

  int vector_bytes() const { return 4 * sums; }
  int vectors_per_block() const { return kBlock / sums; }
  /// Whether a depthwise's dot product has four columns, not rows: of a vector with a whole block's
  /// sums.
  bool dots_of_columns() const { return sums == kBlock; }
  /// Channels of a projection's panel.
  int panel_channels() const { return 2 * sums; }
};

/// One convolution's integers: weight [out][in / groups][kh][kw], bias [out], multiplier [out], as
/// float32 numbers.
struct QuantizedWeights {
  const float* weight = nullptr;
  const float* bias = nullptr;
  const float* multiplier = nullptr;
};

}  // namespace mobileone::kernels
