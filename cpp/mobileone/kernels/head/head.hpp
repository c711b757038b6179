// The end of the network: global average pool and linear classifier.
#pragma once

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// y[n][out] = W x[n] + b. The weights are cut into panels of `panel_columns` outputs,
/// [rows][columns]; a row is one input, of bfloat16 a pair.
struct LinearPlan {
  int in_features = 0;
  int out_features = 0;
  int panel_columns = 0;  // IsaTraits::linear_columns
  int per_lane = 1;       // IsaTraits::per_lane

  int rows() const { return ceil_div(in_features, per_lane); }
  int num_panels() const { return ceil_div(out_features, panel_columns); }
  /// Packed: bias [num_panels][columns], then panels [num_panels][rows][columns].
  std::size_t packed_bytes() const {
    return sizeof(float) * std::size_t(num_panels()) * std::size_t(panel_columns) *
           (std::size_t(rows()) + 1);
  }
};

/// weight [out][in], bias [out] or null.
void pack_linear(const LinearPlan& plan, const float* weight, const float* bias, float* packed);

struct LinearArgs {
  const float* src = nullptr;  // [batch][src_stride], the first in_features of each row are used
  std::ptrdiff_t src_stride = 0;
  float* dst = nullptr;  // [batch][out_features]
  int batch = 1;
  const float* packed = nullptr;
};

}  // namespace mobileone::kernels
