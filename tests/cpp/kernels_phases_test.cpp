// Dilated 3x3 convolutions with fewer products against their float64 reference, on every
// instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels_conv_testing.hpp"
#include "mobileone/kernels/conv/phases.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

// Of the definition, with its own bounds.
Map definition(const ConvData& data) {
  const ConvShape& shape = data.shape;
  const Window window{shape.kernel, shape.stride, false, shape.dilation};
  return conv(data.source(), shape.channels_out, window, data.weight, data.bias);
}

Map expected_of(const ConvData& data) {
  Map map = definition(data);
  phases_bounds(data.source(), data.shape.dilation, data.weight, data.bias, map);
  activate(data.shape.epilogue.activation, map);
  return map;
}

std::vector<float> run(const KernelTable& table, const ConvPlan& plan, const ConvData& data,
                       int step = 1) {
  std::vector<float> out = run_conv(table, plan, data, step);
  EXPECT_TRUE(std::ranges::none_of(out, [](float x) { return std::isnan(x); }));
  return out;
}

ConvShape dilated(int in, int in2, int out, int height, int width, int dilation,
                  Activation activation = Activation::kNone) {
  ConvShape shape{in, in2, out, height, width, 3, {activation}};
  shape.dilation = dilation;
  return shape;
}

class PhasesTest : public KernelTest {
 protected:
  void check(const ConvShape& shape, int rows, int step, bool hard = false) {
    SCOPED_TRACE(::testing::Message()
                 << label(table) << " C " << shape.channels_in << "+" << shape.channels_in2 << " N "
                 << shape.channels_out << " " << shape.height << "x" << shape.width << " dilation "
                 << shape.dilation << " rows " << rows << " hard " << hard);
    const ConvData data(shape, hard);
    const auto plan = plan_conv(table.traits, shape, {Algorithm::kStrassen, rows});
    ASSERT_TRUE(plan.phases);
    EXPECT_EQ(mismatch(expected_of(data), run(table, plan, data, step).data()), "");
  }
};

// Phases of 1 to 9 pixels on either side, and of none.
TEST_P(PhasesTest, AllSizesOfPhases) {
  for (int height = 1; height <= 10; ++height) {
    for (int width : {1, 2, 3, 5, 6, 7, 8, 9, 11, 14, 18}) {
      for (int dilation : {2, 3, 7}) {
        check(dilated(17, 0, 33, height, width, dilation, Activation::kRelu), 1 + width % 4,
              1 + height % 3);
      }
    }
  }
}

TEST_P(PhasesTest, SourcesAndChannels) {
  for (bool hard : {false, true}) {
    check(dilated(1, 0, 1, 8, 9, 2), 2, 1, hard);
    check(dilated(24, 20, 48, 13, 12, 4, Activation::kRelu), 3, 2, hard);
    check(dilated(16, 16, 80, 9, 10, 5), 4, 1, hard);
    check(dilated(160, 0, 64, 32, 32, 6, Activation::kRelu), 6, 1, hard);
    check(dilated(48, 0, 32, 32, 32, 12), 5, 1, hard);
    // Chunks of unlike sizes, one of them with channels of both sources.
    check(dilated(330, 310, 48, 9, 10, 4, Activation::kRelu), 2, 1, hard);
    check(dilated(20, 520, 16, 7, 5, 4), 3, 1, hard);
    check(dilated(48, 0, 32, 32, 32, 18, Activation::kRelu), 18, 1, hard);
  }
}

TEST_P(PhasesTest, TilesGiveTheSameBits) {
  const ConvShape shape = dilated(290, 32, 48, 17, 14, 3, Activation::kRelu);
  const ConvData data(shape);
  const auto whole = plan_conv(table.traits, shape, {Algorithm::kStrassen, 1000});
  EXPECT_EQ(whole.units(), 1);
  const std::vector<float> expected = run(table, whole, data);
  for (int rows : {1, 2, 5}) {
    const auto plan = plan_conv(table.traits, shape, {Algorithm::kStrassen, rows});
    for (int step : {1, 2}) EXPECT_EQ(run(table, plan, data, step), expected) << rows;
  }
}

// The bound counts magnitudes of whole windows; on ordinary data the error is near the
// definition's.
TEST_P(PhasesTest, AreAboutAsAccurateAsTheDefinitionOnOrdinaryData) {
  for (int dilation : {6, 12, 18}) {
    const ConvShape shape = dilated(64, 0, 32, 32, 32, dilation);
    const ConvData data(shape);
    const Map expected = definition(data);
    double squares[2] = {};
    for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen}) {
      const std::vector<float> got =
          run(table, plan_conv(table.traits, shape, {algorithm, 4}), data);
      double& total = squares[algorithm == Algorithm::kStrassen];
      for (std::size_t i = 0; i < got.size(); ++i) total += std::pow(got[i] - expected.value[i], 2);
    }
    // F(3, 3)'s terms have 6 times the variance of the definition's along a side, in sums a ninth
    // as long: 36 / 9 in all.
    EXPECT_LT(squares[1], 3 * 4 * squares[0]) << dilation;
    EXPECT_NE(squares[1], squares[0]);
  }
}

TEST(PhaseAxis, CountsProductsOfDeepLab) {
  const auto products = [](int dilation) { return PhaseAxis(32, dilation).products(); };
  EXPECT_EQ(products(6), 56);
  EXPECT_EQ(products(12), 56);
  EXPECT_EQ(products(18), 46);
  EXPECT_EQ(PhaseAxis(32, 40).products(), 32);
  EXPECT_EQ(PhaseAxis(32, 6).taps(), 84);
}

// Every block is in one chunk.
TEST(PhaseChunks, CoverAllBlocks) {
  for (int blocks = 1; blocks < 100; ++blocks) {
    const PhaseChunks chunks(blocks);
    EXPECT_EQ(chunks.begin(0), 0);
    EXPECT_EQ(chunks.begin(chunks.count), blocks);
    for (int i = 0; i < chunks.count; ++i) {
      EXPECT_GE(chunks.size(i), 1);
      EXPECT_LE(chunks.size(i), chunks.most_blocks());
    }
    EXPECT_LE(chunks.most_blocks(), PhaseChunks::kMostBlocks);
  }
}

// Every pixel is an output of one window.
TEST(PhaseAxis, CoversEverySide) {
  for (int extent = 1; extent < 80; ++extent) {
    for (int dilation = 2; dilation < 45; ++dilation) {
      const PhaseAxis axis(extent, dilation);
      std::vector<int> times(std::size_t(extent), 0);
      for (int window = 0; window < axis.windows(); ++window) {
        const bool large = window < axis.large;
        const int outputs = axis.pairs ? (large ? 2 : 1) : (large ? 3 : 2);
        for (int i = 0; i < outputs; ++i)
          ++times.at(std::size_t(axis.first(window) + i * dilation));
      }
      EXPECT_EQ(times, std::vector<int>(std::size_t(extent), 1)) << extent << " " << dilation;
    }
  }
}

TEST(Phases, ApplyWhereNothingButAFloorFollows) {
  ConvShape shape = dilated(32, 0, 32, 8, 8, 2, Activation::kRelu);
  EXPECT_TRUE(phases_apply(shape));
  shape.epilogue.residual = true;
  EXPECT_FALSE(phases_apply(shape));
  EXPECT_THROW(plan_conv(avx512::kTraits, shape, {Algorithm::kStrassen, 2}), std::invalid_argument);
  shape.epilogue = {Activation::kSilu};
  EXPECT_FALSE(phases_apply(shape));
}

MOBILEONE_FOR_ALL_TABLES(PhasesTest);

}  // namespace
}  // namespace mobileone::kernels::testing
