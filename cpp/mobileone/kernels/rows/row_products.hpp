// Products of a weight matrix as it lies in a checkpoint, [outputs][depth], with few columns: for
// weights that are multiplied once, where packing them would take longer.
#pragma once

#include <cstddef>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// y = or += (weights x - mean) scale + shift, the last three by output. A sum goes from the first
/// input to the last, each product a fused multiply-add.
struct RowProducts {
  const float* weights = nullptr;  // [outputs][depth]
  std::ptrdiff_t weights_row = 0;  // floats from one row to the next
  const float* x = nullptr;        // [depth][columns]
  std::ptrdiff_t x_row = 0;
  int outputs = 0;
  int depth = 0;
  int columns = 0;  // a multiple of kBlock
  const float* mean = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  bool add = false;
  float* y = nullptr;  // [outputs][columns]
  std::ptrdiff_t y_row = 0;
};

}  // namespace mobileone::kernels
