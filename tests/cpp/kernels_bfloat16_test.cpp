// Blocks whose projection is of bfloat16: bit for bit what a scalar model of the instruction makes,
// and within the derived bound of float64 in all other forms.
#include "kernels_bfloat16_testing.hpp"
#include "kernels_block_testing.hpp"

namespace mobileone::kernels::testing {
namespace {

// Whether the depthwise makes its rows in pairs.
bool in_pairs(const BlockShape& shape) { return shape.kernel == 3 && shape.stride == 1; }

float activated(const BlockShape& shape, float sum) {
  return shape.depthwise_activation == Activation::kRelu ? std::max(0.0f, sum) : sum;
}

float source_at(const BlockData& data, int channel, int y, int x) {
  const BlockShape& s = data.shape;
  const bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
  return inside ? data.src[(std::size_t(channel) * s.height + y) * s.width + x] : 0.0f;
}

// One pixel of a 3 x 3 depthwise convolution of stride 1: Winograd's F(2, 3) down the columns, of
// the rows 2i - 1 to 2i + 2 for the output rows 2i and 2i + 1 (docs/low_precision.md).
float filtered_in_pairs(const BlockData& data, int channel, int y, int x) {
  const float* g = &data.depthwise[std::size_t(channel) * 9];
  const int top = y / 2 * 2 - 1;
  float m[4] = {0.0f, data.depthwise_bias[std::size_t(channel)], 0.0f, 0.0f};
  for (int kx = 0; kx < 3; ++kx, ++g) {
    float in[4];
    for (int i = 0; i < 4; ++i) in[i] = flushed(source_at(data, channel, top + i, x + kx - 1));
    const float d[4] = {flushed(in[0] - in[2]), flushed(in[1] + in[2]), flushed(in[2] - in[1]),
                        flushed(in[1] - in[3])};
    const double g0 = g[0], g1 = g[3], g2 = g[6];
    const double w[4] = {g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2};
    for (int i = 0; i < 4; ++i) m[i] = fused(d[i], static_cast<float>(w[i]), m[i]);
  }
  const float sum =
      y % 2 == 0 ? flushed(flushed(m[1] + m[2]) + m[0]) : flushed(flushed(m[1] - m[2]) - m[3]);
  return activated(data.shape, sum);
}

// One pixel of depthwise convolution in the order of the kernels: a row's taps from left to right;
// with stride 2 and three taps the middle one last.
float filtered(const BlockData& data, int channel, int y, int x) {
  const BlockShape& s = data.shape;
  if (in_pairs(s)) return filtered_in_pairs(data, channel, y, x);
  float sum = data.depthwise_bias[std::size_t(channel)];
  for (int ky = 0; ky < s.kernel; ++ky) {
    for (int i = 0; i < s.kernel; ++i) {
      const int kx = s.kernel == 3 && s.stride == 2 ? (i == 1 ? 2 : i == 2 ? 1 : 0) : i;
      const int row = y * s.stride + ky - s.reach(), column = x * s.stride + kx - s.reach();
      const float value = source_at(data, channel, row, column);
      const int tap = (channel * s.kernel + ky) * s.kernel + kx;
      sum = fused(value, data.depthwise[std::size_t(tap)], sum);
    }
  }
  return activated(s, sum);
}

// The sums of vdpbf16ps over pairs of channels: the odd one first.
float projected(const BlockData& data, const std::vector<float>& pixel, int n) {
  float sum = data.project_bias[std::size_t(n)];
  const int hidden = data.shape.hidden();
  for (int k = 0; k < hidden; k += 2) {
    for (int channel : {k + 1, k}) {
      if (channel >= hidden) continue;  // + 0 * 0
      const float w = data.project[std::size_t(n) * hidden + channel];
      sum = fused(rounded(pixel[std::size_t(channel)]), rounded(w), sum);
    }
  }
  return sum;
}

std::vector<float> scalar_model(const BlockData& data) {
  const BlockShape& s = data.shape;
  const int height = s.out_height(), width = s.out_width();
  std::vector<float> out(std::size_t(s.channels_out) * height * width);
  std::vector<float> pixel(std::size_t(s.hidden()));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < s.hidden(); ++c) pixel[std::size_t(c)] = filtered(data, c, y, x);
      for (int n = 0; n < s.channels_out; ++n) {
        const std::size_t at = (std::size_t(n) * height + y) * width + x;
        float sum = projected(data, pixel, n);
        if (s.project.residual) sum = flushed(sum + data.src[at]);
        out[at] = s.project.activation == Activation::kRelu ? std::max(0.0f, sum) : sum;
      }
    }
  }
  return out;
}

class Bfloat16BlockTest : public KernelTest {
 protected:
  void expect_equal(const BlockData& data, const Tiling& tiling, int step) {
    const BlockShape& s = data.shape;
    SCOPED_TRACE(::testing::Message()
                 << s.channels_in << " > " << s.channels_out << " " << s.height << "x" << s.width
                 << " kernel " << s.kernel << " stride " << s.stride << " rows " << tiling.tile_rows
                 << " parts " << tiling.column_parts);
    const BlockPlan plan = plan_block(table.traits, s, tiling);
    const std::vector<float> expected = scalar_model(data);
    const FlushSubnormals flush;
    const std::vector<float> found = run_block(table, plan, data, step);
    for (std::size_t i = 0; i < found.size(); ++i) {
      // 0 and -0 are equal.
      ASSERT_EQ(found[i], expected[i]) << "element " << i << " of " << found.size();
    }
  }
};

TEST_P(Bfloat16BlockTest, EqualsTheScalarModel) {
  int index = 0;
  for (int in : {1, 2, 15, 16, 17, 31, 48, 65}) {
    for (int out : {1, 16, 33, 48, 80}) {
      ++index;
      BlockShape shape =
          pair(in, out, 1 + index % 8, 1 + index * 5 % 31, 1 + index % 2, index % 3 == 0 ? 5 : 3);
      if (index % 4 == 0) shape.depthwise_activation = Activation::kNone;
      if (index % 5 == 0) shape.project.activation = Activation::kNone;
      expect_equal(BlockData(shape), {Algorithm::kDirect, 1 + index % 4, 1 + index % 3},
                   1 + index % 2);
    }
  }
}

TEST_P(Bfloat16BlockTest, EqualsTheScalarModelWithAResidual) {
  for (int channels : {16, 24, 48}) {
    BlockShape shape = pair(channels, channels, 7, 9, 1);
    shape.project.residual = true;
    expect_equal(BlockData(shape), {Algorithm::kDirect, 3}, 1);
  }
}

// Weights, inputs and biases down to 1e-42: subnormal operands, products and sums.
TEST_P(Bfloat16BlockTest, SubnormalNumbersAreZero) {
  BlockData data(pair(34, 20, 6, 11, 1));
  data.shape.project.activation = data.shape.depthwise_activation = Activation::kNone;
  std::mt19937 engine(9);
  make_tiny(data.src, 1, engine);
  make_tiny(data.depthwise_bias, 1, engine);
  make_tiny(data.project_bias, 1, engine);
  make_tiny(data.project, 2, engine);
  expect_equal(data, {Algorithm::kDirect, 2}, 1);
}

TEST_P(Bfloat16BlockTest, NotANumberPasses) {
  BlockData data(pair(20, 32, 5, 5, 1));
  data.src[30] = std::numeric_limits<float>::quiet_NaN();
  const BlockPlan plan = plan_block(table.traits, data.shape, {Algorithm::kDirect, 5});
  const std::vector<float> found = run_block(table, plan, data, 1);
  // Pixel (1, 0) of channel 1 reaches the pixels around it, of every output channel.
  EXPECT_TRUE(std::isnan(found[0]));
  EXPECT_TRUE(std::isnan(found[25 * 16 + 5]));
  EXPECT_FALSE(std::isnan(found[24]));
}

// Each operand of the projection is off by half a unit in its last place, 2^-8 of it, at most, and
// each product by twice that and its square; T has its float32 error besides.
TEST_P(Bfloat16BlockTest, AllFormsStayWithinTheirBound) {
  const double u = 0x1p-8, each = 2 * u + u * u;
  int index = 0;
  for (int kernel : {3, 5, 7}) {
    for (int ratio : {0, 3}) {
      for (ExcitePlace place :
           {ExcitePlace::kNone, ExcitePlace::kBeforeActivation, ExcitePlace::kAfterActivation}) {
        for (Activation activation : {Activation::kRelu, Activation::kSilu}) {
          ++index;
          BlockShape shape = pair(7 + 10 * (index % 3), 24, 13, 14, 1 + index % 2, kernel);
          shape.expanded = ratio * shape.channels_in;
          shape.expand_activation = shape.depthwise_activation = activation;
          shape.excite = place;
          const BlockData data(shape);
          std::vector<double> pairs;  // gates are at most 1, slopes of activations 1.1
          if (in_pairs(shape)) pairs = pairs_error(data);
          reference::Map t = data.filtered();
          for (std::size_t i = 0; in_pairs(shape) && i < t.bound.size(); ++i) {
            t.bound[i] += activation == Activation::kSilu ? 1.1 * pairs[i] : pairs[i];
          }
          reference::Map expected = data.projected(t);
          BlockData sizes(shape);
          reference::Map sizes_of_t = t;
          for (float& w : sizes.project) w = std::abs(w);
          for (std::size_t i = 0; i < t.value.size(); ++i) {
            sizes_of_t.value[i] = std::abs(t.value[i]) + t.bound[i];
          }
          std::fill(sizes.project_bias.begin(), sizes.project_bias.end(), 0.0f);
          const reference::Map products = sizes.projected(sizes_of_t);
          for (std::size_t i = 0; i < expected.bound.size(); ++i) {
            expected.bound[i] += each * products.value[i] + (1 + each) * products.bound[i];
          }
          const BlockPlan plan =
              plan_block(table.traits, shape, {Algorithm::kDirect, 1 + index % 4, 1 + index % 2});
          EXPECT_EQ(reference::mismatch(expected, run_block(table, plan, data, 1).data(), 0.0), "")
              << "form " << index;
        }
      }
    }
  }
}

// The depthwise alone, by a projection that copies its channels: weights and inputs of all
// magnitudes, and sums that cancel.
TEST_P(Bfloat16BlockTest, PairsOfRowsStayWithinTheirBound) {
  for (int height : {1, 2, 5, 8}) {
    for (bool hard : {false, true}) {
      BlockShape shape = pair(18, 18, height, 10, 1);
      shape.depthwise_activation = shape.project.activation = Activation::kNone;
      BlockData data(shape, hard);
      for (std::size_t i = 0; i < data.depthwise.size(); i += 9) {  // a difference of rows
        if (i % 18 == 0) continue;
        for (int kx = 0; kx < 3; ++kx) data.depthwise[i + 6 + kx] = -data.depthwise[i + kx];
      }
      std::fill(data.project.begin(), data.project.end(), 0.0f);
      for (int c = 0; c < 18; ++c) data.project[std::size_t(c) * 19] = 1.0f;
      std::fill(data.project_bias.begin(), data.project_bias.end(), 0.0f);
      reference::Map expected = data.filtered();
      const std::vector<double> pairs = pairs_error(data);
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        expected.bound[i] += pairs[i];
        expected.bound[i] += 0x1p-8 * (std::abs(expected.value[i]) + expected.bound[i]);
      }
      for (int rows : {1, 3, 8}) {  // pairs are cut, or not
        const BlockPlan plan = plan_block(table.traits, shape, {Algorithm::kDirect, rows});
        EXPECT_EQ(reference::mismatch(expected, run_block(table, plan, data, 1).data(), 0.0), "")
            << height << " rows, tiles of " << rows << (hard ? ", hard" : "");
      }
    }
  }
}

TEST_P(Bfloat16BlockTest, StrassenIsRefused) {
  EXPECT_THROW(plan_block(table.traits, pair(32, 32, 8, 8, 1), {Algorithm::kStrassen, 4}),
               std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Bfloat16BlockTest,
                         ::testing::ValuesIn(supported_tables(Precision::kBfloat16)),
                         [](const auto& test) { return label(*test.param); });

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(rounded(1.0f), 1.0f);
  EXPECT_EQ(rounded(1.0f + 0x1p-8f), 1.0f);                    // a tie: to even
  EXPECT_EQ(rounded(1.0f + 3 * 0x1p-8f), 1.0f + 4 * 0x1p-8f);  // a tie: to even
  EXPECT_EQ(rounded(1.0f + 0x1.01p-8f), 1.0f + 2 * 0x1p-8f);   // above
  EXPECT_EQ(rounded(-std::numeric_limits<float>::max()), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(rounded(0x1p-127f), 0.0f);
  EXPECT_TRUE(std::signbit(rounded(-0x1p-127f)));
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::signaling_NaN())));
  EXPECT_EQ(rounded(std::numeric_limits<float>::infinity()),
            std::numeric_limits<float>::infinity());
}

TEST(Bfloat16, NeedsItsInstructions) {
  EXPECT_THROW(kernels(Isa::kAvx2, Precision::kBfloat16), std::invalid_argument);
  EXPECT_TRUE(emulation(Precision::kBfloat16).emulated);
  EXPECT_THROW(emulation(Precision::kFloat32), std::invalid_argument);
  if (!__builtin_cpu_supports("avx512bf16")) {
    EXPECT_THROW(kernels(Isa::kAvx512, Precision::kBfloat16), std::invalid_argument);
  } else {
    EXPECT_FALSE(kernels(Isa::kAvx512, Precision::kBfloat16).emulated);
  }
}

}  // namespace
}  // namespace mobileone::kernels::testing
