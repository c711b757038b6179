#include "mobileone/kernels/head/head.hpp"

#include <algorithm>

#include "mobileone/kernels/bfloat16.hpp"

namespace mobileone::kernels {

namespace {

/// Of one output's weights those of row i of the panel.
float packed_row(const LinearPlan& plan, const float* weight, int i) {
  if (plan.per_lane == 1) return weight[i];
  return bfloat16_pair(weight[2 * i], 2 * i + 1 < plan.in_features ? weight[2 * i + 1] : 0.0f);
}

}  // namespace

void pack_linear(const LinearPlan& plan, const float* weight, const float* bias, float* packed) {
  const int columns = plan.num_panels() * plan.panel_columns;
  for (int o = 0; o < columns; ++o) {
    *packed++ = bias != nullptr && o < plan.out_features ? bias[o] : 0.0f;
  }
  for (int first = 0; first < columns; first += plan.panel_columns) {
    const int outputs = std::min(plan.panel_columns, plan.out_features - first);
    // A cache line or two of each output at a time: rows lie a whole row of weights apart.
    for (int begin = 0; begin < plan.rows(); begin += kBlock) {
      const int end = std::min(begin + kBlock, plan.rows());
      float* const lines = packed + std::ptrdiff_t{begin} * plan.panel_columns;
      std::fill_n(lines, std::ptrdiff_t{end - begin} * plan.panel_columns, 0.0f);
      for (int o = 0; o < outputs; ++o) {
        const float* const from = weight + std::ptrdiff_t{first + o} * plan.in_features;
        for (int i = begin; i < end; ++i) {
          lines[std::ptrdiff_t{i - begin} * plan.panel_columns + o] = packed_row(plan, from, i);
        }
      }
    }
    packed += std::ptrdiff_t{plan.rows()} * plan.panel_columns;
  }
}

}  // namespace mobileone::kernels
