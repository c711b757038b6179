// Stems of bfloat16: bit for bit what a scalar model of the instruction makes, alone and before a
// block, and within the derived bound of float64 with every activation.
#include "kernels_bfloat16_testing.hpp"
#include "kernels_stem_testing.hpp"

namespace mobileone::kernels::testing {
namespace {

struct Tap {
  int channel, kx;
};
// Of one row of the window, pairs in the order of the sum, the odd one of each first. The last
// one's partner is a zero.
constexpr Tap kOrder[9] = {{0, 1}, {0, 0}, {1, 1}, {1, 0}, {2, 1}, {2, 0}, {1, 2}, {0, 2}, {2, 2}};

float scalar_sum(const StemData& data, int n, int y, int x) {
  float sum = data.bias[std::size_t(n)];
  for (int ky = 0; ky < 3; ++ky) {
    for (const auto& [channel, kx] : kOrder) {
      const int row = 2 * y + ky - 1, column = 2 * x + kx - 1;
      const bool inside =
          row >= 0 && row < data.plan.height && column >= 0 && column < data.plan.width;
      const std::size_t at = (std::size_t(channel) * data.plan.height + row) * data.plan.width;
      const float value = inside ? data.image[at + std::size_t(column)] : 0.0f;
      const float w = data.weight[std::size_t(((n * 3 + channel) * 3 + ky) * 3 + kx)];
      sum = fused(rounded(value), rounded(w), sum);
    }
  }
  return data.plan.activation == Activation::kRelu ? std::max(0.0f, sum) : sum;
}

std::vector<float> scalar_model(const StemData& data) {
  const MapShape map = data.plan.dst();
  std::vector<float> out;
  for (int n = 0; n < map.channels; ++n) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) out.push_back(scalar_sum(data, n, y, x));
    }
  }
  return out;
}

class Bfloat16StemTest : public KernelTest {
 protected:
  // The blocked map, `step` rows a call.
  Buffer run(const StemData& data, int step) {
    const MapShape map = data.plan.dst();
    Buffer dst(map.num_floats());
    const Buffer scratch = poisoned(data.plan.scratch_bytes());
    const StemArgs args{data.image.data(), dst.get(), data.packed.get(), scratch.get()};
    for (int row = 0; row < map.height; row += step) {
      table.run_stem(data.plan, args, row, std::min(row + step, map.height));
    }
    return dst;
  }
  std::vector<float> plain(const MapShape& map, const Buffer& blocked) {
    std::vector<float> out(std::size_t(map.channels) * map.height * map.width);
    from_blocked(map, blocked.get(), out.data());
    return out;
  }
  void expect_equal(const StemData& data, int step) {
    const std::vector<float> expected = scalar_model(data);
    const FlushSubnormals flush;
    const std::vector<float> found = plain(data.plan.dst(), run(data, step));
    for (std::size_t i = 0; i < found.size(); ++i) {
      // 0 and -0 are equal.
      ASSERT_EQ(found[i], expected[i]) << "element " << i << " of " << found.size();
    }
  }
};

constexpr std::pair<int, int> kSizes[] = {{1, 1},   {2, 7},   {7, 2},   {13, 31},
                                          {32, 33}, {35, 64}, {57, 128}};

TEST_P(Bfloat16StemTest, EqualsTheScalarModel) {
  for (int channels : {1, 16, 31, 48, 64, 97}) {
    for (auto [height, width] : kSizes) {
      for (int step : {1, 3, 1000}) {
        SCOPED_TRACE(::testing::Message() << channels << " channels, " << height << "x" << width
                                          << ", " << step << " rows per call");
        const Activation activation = channels % 2 == 0 ? Activation::kRelu : Activation::kNone;
        expect_equal(StemData(table, height, width, channels, activation), step);
      }
    }
  }
}

TEST_P(Bfloat16StemTest, SubnormalNumbersAreZero) {
  StemData data(table, 9, 21, 20, Activation::kNone);
  std::mt19937 engine(5);
  make_tiny(data.image, 1, engine);
  make_tiny(data.bias, 1, engine);
  make_tiny(data.weight, 2, engine);
  pack_stem(data.plan, data.weight.data(), data.bias.data(), data.packed.get());
  expect_equal(data, 2);
}

// Not even as a zero's partner does a pixel reach an output whose window it is not in.
TEST_P(Bfloat16StemTest, InfinityAndNotANumberStayInTheirWindows) {
  for (float value :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (int channel = 0; channel < kImageChannels; ++channel) {
      for (int row : {0, 4, 5, 8}) {
        for (int column : {0, 7, 8, 32}) {
          StemData data(table, 9, 33, 17, Activation::kNone);
          data.image[(std::size_t(channel) * 9 + row) * 33 + column] = value;
          const std::vector<float> found = plain(data.plan.dst(), run(data, 1000));
          for (std::size_t i = 0; i < found.size(); ++i) {
            const int y = int(i / 17 % 5), x = int(i % 17);
            const bool reads = std::abs(2 * y - row) <= 1 && std::abs(2 * x - column) <= 1;
            ASSERT_EQ(std::isfinite(found[i]), !reads) << row << ", " << column << ": " << i;
          }
        }
      }
    }
  }
}

// As for blocks: each operand is off by 2^-8 of itself at most.
TEST_P(Bfloat16StemTest, AllActivationsStayWithinTheirBound) {
  const double u = 0x1p-8, each = 2 * u + u * u;
  for (Activation activation : kActivations) {
    const StemData data(table, 23, 38, 40, activation);
    const StemData linear(table, 23, 38, 40, Activation::kNone);
    StemData sizes(table, 23, 38, 40, Activation::kNone);
    for (float& x : sizes.image) x = std::abs(x);
    for (float& w : sizes.weight) w = std::abs(w);
    std::fill(sizes.bias.begin(), sizes.bias.end(), 0.0f);
    reference::Map expected = linear.reference();
    const reference::Map products = sizes.reference();
    for (std::size_t i = 0; i < expected.bound.size(); ++i) {
      expected.bound[i] += each * products.value[i] + (1 + each) * products.bound[i];
    }
    reference::activate(activation, expected);
    const std::vector<float> found = plain(data.plan.dst(), run(data, 4));
    EXPECT_EQ(reference::mismatch(expected, found.data(), 0.0), "");
  }
}

TEST_P(Bfloat16StemTest, WithABlockEqualsOneAfterTheOther) {
  for (auto [height, width] : kSizes) {
    for (int step : {1, 2, 1000}) {
      for (Activation activation : {Activation::kRelu, Activation::kSilu}) {
        SCOPED_TRACE(::testing::Message() << height << "x" << width << ", " << step << " tiles");
        const StemData data(table, height, width, 48, activation);
        const BlockShape shape = first_block(data.plan.dst(), 33);
        const BlockData weights(shape);
        const BlockPlan block = plan_block(table.traits, shape, {Algorithm::kDirect, 2});
        const StemBlockPlan plan = plan_stem_block(data.plan, block);
        Buffer packed(block.packed_bytes() / 4), dst(shape.dst().num_floats());
        pack_block(block, weights.weights(), packed.get());
        const Buffer scratch = poisoned(plan.scratch_bytes());
        const StemBlockArgs args{data.image.data(), dst.get(), data.packed.get(), packed.get(),
                                 scratch.get()};
        for (int tile = 0; tile < block.tiles(); tile += step) {
          table.run_stem_block(plan, args, tile, std::min(tile + step, block.tiles()));
        }
        BlockData after(shape);
        after.src = plain(data.plan.dst(), run(data, 1));
        EXPECT_EQ(plain(shape.dst(), dst), run_block(table, block, after, 1));
      }
    }
  }
}

TEST_P(Bfloat16StemTest, WithAConvolutionIsRefused) {
  const StemPlan stem = plan_stem(table.traits, 32, 32, 48);
  ConvShape shape{48, 0, 64, 16, 16, 3};
  shape.stride = 2;
  EXPECT_THROW(plan_stem_conv(stem, plan_conv(table.traits, shape, {Algorithm::kDirect, 2})),
               std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Bfloat16StemTest,
                         ::testing::ValuesIn(supported_tables(Precision::kBfloat16)),
                         [](const auto& test) { return label(*test.param); });

}  // namespace
}  // namespace mobileone::kernels::testing
