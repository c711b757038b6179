#include "mobileone/kernels/head/head.hpp"

#include <xmmintrin.h>

#include <algorithm>

#include "mobileone/kernels/bfloat16.hpp"

namespace mobileone::kernels {

namespace {

constexpr int kRowsAtOnce = 64;

/// Of one output's weights those of row i of the panel.
float packed_row(const LinearPlan& plan, const float* weight, int i) {
  if (plan.per_lane == 1) return weight[i];
  return bfloat16_pair(weight[2 * i], 2 * i + 1 < plan.in_features ? weight[2 * i + 1] : 0.0f);
}

/// Four inputs of four outputs, whose rows lie `step` apart, as parts of four rows of a panel.
void transpose_four(const float* from, std::ptrdiff_t step, float* to, std::ptrdiff_t to_step) {
  __m128 v[4];
  for (int o = 0; o < 4; ++o) v[o] = _mm_loadu_ps(from + o * step);
  _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
  for (int i = 0; i < 4; ++i) _mm_storeu_ps(to + i * to_step, v[i]);
}

/// Rows [begin, end) of the panel whose first output is `first`.
void pack_rows(const LinearPlan& plan, const float* weight, int first, int begin, int end,
               float* lines) {
  const std::ptrdiff_t columns = plan.panel_columns;
  const int outputs = std::min(plan.panel_columns, plan.out_features - first);
  if (outputs < plan.panel_columns) std::fill_n(lines, (end - begin) * columns, 0.0f);
  const int rows = plan.per_lane == 1 ? (end - begin) / 4 * 4 : 0;
  const int fours = rows > 0 ? outputs / 4 * 4 : 0;
  for (int o = 0; o < outputs; ++o) {
    const float* const from = weight + std::ptrdiff_t{first + o} * plan.in_features;
    const bool done = o < fours;
    if (done && o % 4 == 0) {
      for (int i = 0; i < rows; i += 4) {
        transpose_four(from + begin + i, plan.in_features, lines + i * columns + o, columns);
      }
    }
    for (int i = done ? begin + rows : begin; i < end; ++i) {
      lines[(i - begin) * columns + o] = packed_row(plan, from, i);
    }
  }
}

}  // namespace

void pack_linear(const LinearPlan& plan, const float* weight, const float* bias, float* packed) {
  const int columns = plan.num_panels() * plan.panel_columns;
  for (int o = 0; o < columns; ++o) {
    *packed++ = bias != nullptr && o < plan.out_features ? bias[o] : 0.0f;
  }
  for (int first = 0; first < columns; first += plan.panel_columns) {
    // A few cache lines of each output at a time: rows lie a whole row of weights apart.
    for (int begin = 0; begin < plan.rows(); begin += kRowsAtOnce) {
      const int end = std::min(begin + kRowsAtOnce, plan.rows());
      pack_rows(plan, weight, first, begin, end,
                packed + std::ptrdiff_t{begin} * plan.panel_columns);
    }
    packed += std::ptrdiff_t{plan.rows()} * plan.panel_columns;
  }
}

}  // namespace mobileone::kernels
