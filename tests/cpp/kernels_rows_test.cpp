// Products of weights as they lie, against plain float64 sums, on every instruction set.
#include <gtest/gtest.h>

#include "kernels_testing.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

class RowProductsTest : public KernelTest {};

// Sums of n products may be off by gamma(n) times the sum of magnitudes, in any order; the
// difference from the mean and the fused multiply-add round once each, and so does the addition.
TEST_P(RowProductsTest, ScaledAndShiftedSums) {
  for (const auto& [outputs, depth, columns] :
       {std::array{1, 1, 16}, std::array{3, 16, 32}, std::array{13, 15, 48}, std::array{16, 33, 64},
        std::array{29, 100, 80}, std::array{14, 896, 16}, std::array{8, 70, 192},
        std::array{31, 9, 272}}) {
    // Rows of both have a few floats more, which are not read.
    const std::ptrdiff_t weights_row = depth + 3, x_row = columns + 16;
    const auto weights = random_floats(std::size_t(outputs * weights_row), 1);
    Buffer x(std::size_t((depth - 1) * x_row + columns));
    std::copy_n(random_floats(x.size, 2).begin(), x.size, x.get());
    const auto mean = random_floats(outputs, 3, 10.0f), scale = random_floats(outputs, 4);
    const auto shift = random_floats(outputs, 5), before = random_floats(outputs * columns, 6);
    for (const bool add : {false, true}) {
      Buffer y(before.size());
      std::copy_n(before.begin(), before.size(), y.get());
      table.multiply_rows({weights.data(), weights_row, x.get(), x_row, outputs, depth, columns,
                           mean.data(), scale.data(), shift.data(), add, y.get(), columns});
      for (int o = 0; o < outputs; ++o) {
        for (int c = 0; c < columns; ++c) {
          double sum = 0.0, magnitude = 0.0;
          for (int k = 0; k < depth; ++k) {
            const double product = double(weights[o * weights_row + k]) * x.get()[k * x_row + c];
            sum += product;
            magnitude += std::abs(product);
          }
          const std::size_t at = std::size_t(o) * columns + c;
          const double difference = sum - mean[o];
          const double value = difference * scale[o] + shift[o];
          const double expected = value + (add ? before[at] : 0.0);
          const double error = std::abs(scale[o]) * (reference::gamma(depth + 1) * magnitude +
                                                     reference::gamma(1) * std::abs(difference));
          const double bound = error + reference::gamma(1) * (std::abs(value) + error) +
                               (add ? reference::gamma(1) * (std::abs(expected) + error) : 0.0);
          ASSERT_NEAR(y.get()[at], expected, 1.01 * bound)
              << outputs << " x " << depth << " x " << columns << ", " << o << ", " << c;
        }
      }
    }
  }
}

MOBILEONE_FOR_ALL_TABLES(RowProductsTest);

}  // namespace
}  // namespace mobileone::kernels::testing
