#include "mobileone/kernels/head/head.hpp"

#include <algorithm>

namespace mobileone::kernels {

void pack_linear(const LinearPlan& plan, const float* weight, const float* bias, float* packed) {
  const int columns = plan.num_panels() * plan.panel_columns;
  for (int o = 0; o < columns; ++o) {
    *packed++ = bias != nullptr && o < plan.out_features ? bias[o] : 0.0f;
  }
  for (int first = 0; first < columns; first += plan.panel_columns) {
    const int outputs = std::min(plan.panel_columns, plan.out_features - first);
    // A cache line of each output at a time: rows lie a whole row of weights apart.
    for (int begin = 0; begin < plan.in_features; begin += kBlock) {
      const int end = std::min(begin + kBlock, plan.in_features);
      float* const lines = packed + std::ptrdiff_t{begin} * plan.panel_columns;
      std::fill_n(lines, std::ptrdiff_t{end - begin} * plan.panel_columns, 0.0f);
      for (int o = 0; o < outputs; ++o) {
        const float* const from = weight + std::ptrdiff_t{first + o} * plan.in_features;
        for (int i = begin; i < end; ++i) {
          lines[std::ptrdiff_t{i - begin} * plan.panel_columns + o] = from[i];
        }
      }
    }
    packed += std::ptrdiff_t{plan.in_features} * plan.panel_columns;
  }
}

}  // namespace mobileone::kernels
