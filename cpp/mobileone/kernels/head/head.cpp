#include "mobileone/kernels/head/head.hpp"

namespace mobileone::kernels {

void pack_linear(const LinearPlan& plan, const float* weight, const float* bias, float* packed) {
  const int columns = plan.num_panels() * plan.panel_columns;
  for (int o = 0; o < columns; ++o) {
    *packed++ = bias != nullptr && o < plan.out_features ? bias[o] : 0.0f;
  }
  for (int first = 0; first < columns; first += plan.panel_columns) {
    for (int i = 0; i < plan.in_features; ++i) {
      for (int o = first; o < first + plan.panel_columns; ++o) {
        *packed++ = o < plan.out_features ? weight[std::ptrdiff_t{o} * plan.in_features + i] : 0.0f;
      }
    }
  }
}

}  // namespace mobileone::kernels
