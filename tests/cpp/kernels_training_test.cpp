// Training's products and depthwise convolutions against plain float64 sums, on every instruction
// set. A sum of n products may be off by gamma(n + 1) times the sum of magnitudes, in any order.
#include <gtest/gtest.h>

#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using reference::gamma;
constexpr float kNone = -std::numeric_limits<float>::infinity();

struct Sum {
  double value = 0.0, magnitude = 0.0;
  int terms = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::abs(a * b);
    ++terms;
  }
  double bound() const { return gamma(terms + 1) * magnitude + 1e-30; }
};

// [rows][columns] as a matrix of the kernels; columns beyond the last are zero.
struct Matrix {
  Matrix(int height, int width, unsigned seed)
      : rows(height), columns(width), memory(std::size_t(height) * padded(width)) {
    const auto values = random_floats(std::size_t(rows) * columns, seed);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) at(i, j) = values[std::size_t(i) * columns + j];
    }
  }
  float& at(int row, int column) const {
    return memory.get()[(std::size_t(column / kBlock) * rows + row) * kBlock + column % kBlock];
  }
  Columns view() const { return {memory.get(), std::ptrdiff_t{rows} * kBlock, blocks(columns)}; }
  int rows, columns;
  Buffer memory;
};

class TrainingProducts : public KernelTest {};

TEST_P(TrainingProducts, SumOfTwoProductsWithBiasReluAndMask) {
  for (const auto& [rows, a_columns, b_columns, outputs] :
       {std::array{1, 3, 16, 7}, std::array{14, 16, 5, 16}, std::array{29, 33, 17, 48},
        std::array{100, 48, 32, 81}}) {
    const Matrix a(rows, a_columns, 1), b(rows, b_columns, 2), mask(rows, outputs, 5);
    const auto w = random_floats(std::size_t(a_columns) * outputs, 3);
    const auto v = random_floats(std::size_t(b_columns) * outputs, 4);
    Buffer packed(panel_floats(blocks(a_columns), blocks(outputs)));
    Buffer packed_b(panel_floats(blocks(b_columns), blocks(outputs)));
    pack_panels(
        table.traits, a_columns, outputs,
        [&](int k, int n) { return w[std::size_t(k) * outputs + n]; }, packed.get());
    pack_panels(
        table.traits, b_columns, outputs,
        [&](int k, int n) { return v[std::size_t(k) * outputs + n]; }, packed_b.get());
    Buffer bias(padded(outputs));
    std::copy_n(random_floats(outputs, 6).begin(), outputs, bias.get());
    for (const bool masked : {false, true}) {
      for (const float floor : {0.0f, kNone}) {
        const Matrix y(rows, outputs, 7);
        Product product;
        product.terms[0] = {a.view(), packed.get()};
        product.terms[1] = {b.view(), packed_b.get()};
        product.num_terms = 2;
        product.rows = rows;
        product.n_blocks = blocks(outputs);
        product.bias = bias.get();
        product.floor = floor;
        product.mask = masked ? mask.memory.get() : nullptr;
        product.y = y.memory.get();
        product.y_block = y.view().block;
        table.multiply(product);
        for (int i = 0; i < rows; ++i) {
          for (int n = 0; n < padded(outputs); ++n) {
            Sum sum;
            if (n < outputs) {
              sum.add(bias.get()[n], 1.0);
              for (int k = 0; k < a_columns; ++k) {
                sum.add(a.at(i, k), w[std::size_t(k) * outputs + n]);
              }
              for (int k = 0; k < b_columns; ++k) {
                sum.add(b.at(i, k), v[std::size_t(k) * outputs + n]);
              }
            }
            double expected = std::max(sum.value, double(floor));
            if (masked && !(mask.at(i, n) > 0)) expected = 0.0;
            ASSERT_NEAR(y.at(i, n), expected, sum.bound()) << rows << " " << outputs << " " << i;
          }
        }
      }
    }
  }
}

TEST_P(TrainingProducts, OuterProductsAddUp) {
  for (const auto& [rows, left, right] :
       {std::array{1, 3, 5}, std::array{17, 16, 48}, std::array{90, 33, 80}}) {
    const Matrix a(rows, left, 1), b(rows, right, 2);
    for (const bool upper : {false, true}) {
      const Matrix& second = upper ? a : b;
      const int columns = padded(second.columns);
      Buffer sum(std::size_t(padded(left)) * columns);
      std::fill_n(sum.get(), sum.size, 1.0f);
      table.add_outer_products({a.view(), second.view(), rows, upper, sum.get(), columns});
      for (int i = 0; i < padded(left); ++i) {
        for (int j = 0; j < columns; ++j) {
          Sum expected;
          expected.add(1.0, 1.0);
          if (!upper || i / kBlock <= j / kBlock) {
            for (int row = 0; row < rows; ++row) expected.add(a.at(row, i), second.at(row, j));
          }
          ASSERT_NEAR(sum.get()[std::size_t(i) * columns + j], expected.value, expected.bound());
        }
      }
    }
  }
}

TEST_P(TrainingProducts, ShiftedColumnsAndTheirSums) {
  const int rows = 37, columns = 21;
  const Matrix x(rows, columns, 1), out(rows, columns, 2);
  Buffer shift(padded(columns)), sums(padded(columns));
  std::copy_n(random_floats(columns, 3, 10.0f).begin(), columns, shift.get());
  table.shift_columns(
      {x.view(), rows, shift.get(), out.memory.get(), out.view().block, sums.get()});
  for (int j = 0; j < padded(columns); ++j) {
    Sum sum;
    for (int i = 0; i < rows; ++i) {
      ASSERT_EQ(out.at(i, j), x.at(i, j) - shift.get()[j]);
      sum.add(out.at(i, j), 1.0);
    }
    ASSERT_NEAR(sums.get()[j], sum.value, sum.bound());
  }
}

// One block of 16 channels, [height][width][16].
struct Plane {
  Plane(int rows, int columns, unsigned seed)
      : height(rows), width(columns), memory(std::size_t(rows) * columns * kBlock) {
    const auto values = random_floats(memory.size, seed);
    std::copy(values.begin(), values.end(), memory.get());
  }
  // Zero outside of the image.
  double at(int y, int x, int c) const {
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? memory.get()[(std::size_t(y) * width + x) * kBlock + c] : 0.0;
  }
  int height, width;
  Buffer memory;
};

class TrainingDepthwise : public KernelTest {
 protected:
  template <typename Check>
  void for_shapes(const Check& check) const {
    for (const auto& [height, width] : {std::array{1, 1}, std::array{2, 3}, std::array{5, 4},
                                        std::array{7, 9}, std::array{12, 6}}) {
      for (int stride : {1, 2}) check(DepthwiseTraining{height, width, stride});
    }
  }
};

// Tap t of the patch of output pixel (y, x).
double tap(const DepthwiseTraining& shape, const Plane& plane, int y, int x, int t, int c) {
  return plane.at(y * shape.stride + t / 3 - 1, x * shape.stride + t % 3 - 1, c);
}

TEST_P(TrainingDepthwise, Forward) {
  for_shapes([&](const DepthwiseTraining& shape) {
    const Plane x(shape.height, shape.width, 1), y(shape.out_height(), shape.out_width(), 2);
    const auto w = random_floats(kTaps * kBlock, 3), bias = random_floats(kBlock, 4);
    Buffer scratch(shape.scratch_floats());
    table.depthwise_forward(
        {shape, x.memory.get(), w.data(), bias.data(), 0.0f, y.memory.get(), scratch.get()});
    for (int row = 0; row < y.height; ++row) {
      for (int column = 0; column < y.width; ++column) {
        for (int c = 0; c < kBlock; ++c) {
          Sum sum;
          sum.add(bias[c], 1.0);
          for (int t = 0; t < kTaps; ++t) {
            sum.add(tap(shape, x, row, column, t, c), w[t * kBlock + c]);
          }
          ASSERT_NEAR(y.at(row, column, c), std::max(sum.value, 0.0), sum.bound());
        }
      }
    }
  });
}

TEST_P(TrainingDepthwise, Moments) {
  for_shapes([&](const DepthwiseTraining& shape) {
    const Plane x(shape.height, shape.width, 1);
    const auto shift = random_floats(kBlock, 2);
    Buffer sums((kTaps + kTapPairs) * kBlock), scratch(shape.scratch_floats());
    table.depthwise_moments({shape, x.memory.get(), shift.data(), sums.get(), scratch.get()});
    for (int c = 0; c < kBlock; ++c) {
      for (int t = 0; t < kTaps; ++t) {
        for (int other = t - 1; other < kTaps; ++other) {  // t - 1 stands for the sum of tap t
          Sum sum;
          for (int row = 0; row < shape.out_height(); ++row) {
            for (int column = 0; column < shape.out_width(); ++column) {
              const auto shifted = [&](int index) {
                // The kernel subtracts in float32.
                return double(float(tap(shape, x, row, column, index, c)) - shift[c]);
              };
              sum.add(shifted(t), other < t ? 1.0 : shifted(other));
            }
          }
          const int at = other < t ? t : kTaps + tap_pair(t, other);
          ASSERT_NEAR(sums.get()[at * kBlock + c], sum.value, sum.bound());
        }
      }
    }
  });
}

TEST_P(TrainingDepthwise, WeightGradient) {
  for_shapes([&](const DepthwiseTraining& shape) {
    const Plane x(shape.height, shape.width, 1), g(shape.out_height(), shape.out_width(), 2);
    Buffer sums((kTaps + 1) * kBlock), scratch(shape.scratch_floats());
    table.depthwise_weight_gradient(
        {shape, x.memory.get(), g.memory.get(), sums.get(), scratch.get()});
    for (int c = 0; c < kBlock; ++c) {
      for (int t = 0; t <= kTaps; ++t) {
        Sum sum;
        for (int row = 0; row < g.height; ++row) {
          for (int column = 0; column < g.width; ++column) {
            sum.add(g.at(row, column, c), t == kTaps ? 1.0 : tap(shape, x, row, column, t, c));
          }
        }
        ASSERT_NEAR(sums.get()[t * kBlock + c], sum.value, sum.bound());
      }
    }
  });
}

TEST_P(TrainingDepthwise, InputGradient) {
  for_shapes([&](const DepthwiseTraining& shape) {
    const Plane x(shape.height, shape.width, 1), g(shape.out_height(), shape.out_width(), 2);
    const Plane dx(shape.height, shape.width, 3);
    const auto w = random_floats(kTaps * kBlock, 4), shift = random_floats(kBlock, 5);
    const auto s = random_floats(kTaps * kTaps * kBlock, 6);
    const auto constant = random_floats(kTaps * kBlock, 7);
    Buffer scratch(shape.scratch_floats());
    for (const bool moments : {true, false}) {
      for (const bool masked : {true, false}) {
        table.depthwise_input_gradient({shape, x.memory.get(), g.memory.get(), w.data(),
                                        moments ? s.data() : nullptr, constant.data(), shift.data(),
                                        masked, dx.memory.get(), scratch.get()});
        for (int c = 0; c < kBlock; ++c) {
          std::vector<Sum> sums(std::size_t(shape.height) * shape.width);
          for (int row = 0; row < g.height; ++row) {
            for (int column = 0; column < g.width; ++column) {
              for (int t = 0; t < kTaps; ++t) {
                const int y = row * shape.stride + t / 3 - 1,
                          at = column * shape.stride + t % 3 - 1;
                if (y < 0 || y >= shape.height || at < 0 || at >= shape.width) continue;
                Sum& sum = sums[std::size_t(y) * shape.width + at];
                sum.add(g.at(row, column, c), w[t * kBlock + c]);
                if (!moments) continue;
                sum.add(constant[t * kBlock + c], 1.0);
                for (int other = 0; other < kTaps; ++other) {
                  const double value =
                      double(float(tap(shape, x, row, column, other, c)) - shift[c]);
                  sum.add(s[(t * kTaps + other) * kBlock + c], value);
                }
              }
            }
          }
          for (int y = 0; y < shape.height; ++y) {
            for (int column = 0; column < shape.width; ++column) {
              const Sum& sum = sums[std::size_t(y) * shape.width + column];
              const bool kept = !masked || x.at(y, column, c) > 0;
              ASSERT_NEAR(dx.at(y, column, c), kept ? sum.value : 0.0, sum.bound())
                  << shape.height << "x" << shape.width << " stride " << shape.stride;
            }
          }
        }
      }
    }
  });
}

class TrainingPlanes : public KernelTest {};

TEST_P(TrainingPlanes, ToBlocksAndBack) {
  for (int channels : {1, 7, 8, 9, 15, 16}) {
    for (int pixels : {1, 7, 16, 29, 48}) {
      const int step = pixels + 3;
      const Planes shape{channels, pixels, step};
      const std::size_t count = std::size_t(channels) * step;
      Buffer planes(count), block(std::size_t(pixels) * kBlock), back(count);
      std::copy_n(random_floats(count, 1).begin(), count, planes.get());
      const auto addend = random_floats(count, 2);
      table.planes_to_block(shape, planes.get(), block.get());
      for (int p = 0; p < pixels; ++p) {
        for (int c = 0; c < kBlock; ++c) {
          const float expected = c < channels ? planes.get()[c * step + p] : 0.0f;
          ASSERT_EQ(block.get()[p * kBlock + c], expected);
        }
      }
      table.block_to_planes(shape, block.get(), nullptr, back.get());
      const auto pixel_of = [&](std::size_t i) { return static_cast<int>(i % std::size_t(step)); };
      for (std::size_t i = 0; i < count; ++i) {
        if (pixel_of(i) < pixels) {
          ASSERT_EQ(back.get()[i], planes.get()[i]);
        }
      }
      table.block_to_planes(shape, block.get(), addend.data(), back.get());
      for (std::size_t i = 0; i < count; ++i) {
        if (pixel_of(i) < pixels) {
          ASSERT_EQ(back.get()[i], planes.get()[i] + addend[i]);
        }
      }
    }
  }
}

MOBILEONE_FOR_ALL_TABLES(TrainingPlanes);
MOBILEONE_FOR_ALL_TABLES(TrainingProducts);
MOBILEONE_FOR_ALL_TABLES(TrainingDepthwise);

}  // namespace
}  // namespace mobileone::kernels::testing
