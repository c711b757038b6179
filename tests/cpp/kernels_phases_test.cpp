// Dilated 3x3 convolutions with fewer products against their float64 reference, on every
// instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/kernels/conv/phases.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

struct Data {
  ConvShape shape;
  std::vector<float> src, src2, weight, bias;

  explicit Data(const ConvShape& s, bool hard = false) : shape(s) {
    const auto make = [&](std::size_t n, unsigned seed, float scale) {
      return hard ? hard_floats(n, seed) : random_floats(n, seed, scale);
    };
    const std::size_t pixels = std::size_t(s.height) * s.width;
    src = make(s.channels_in * pixels, 1, 1.0f);
    src2 = make(s.channels_in2 * pixels, 2, 1.0f);
    weight = make(std::size_t(s.channels_out) * (s.channels_in + s.channels_in2) * 9, 3, 0.2f);
    bias = make(s.channels_out, 4, 0.5f);
  }

  Map source() const {
    const Map first = exact_map(shape.channels_in, shape.height, shape.width, src);
    if (shape.channels_in2 == 0) return first;
    return concat(first, exact_map(shape.channels_in2, shape.height, shape.width, src2));
  }
  // Of the definition, with its own bounds.
  Map definition() const {
    return conv(source(), shape.channels_out, {3, 1, false, shape.dilation}, weight, bias);
  }
  Map expected() const {
    Map map = definition();
    phases_bounds(source(), shape.dilation, weight, bias, map);
    activate(shape.epilogue.activation, map);
    return map;
  }
};

// One call per range of `step` units, scratch full of NaN.
std::vector<float> run(const KernelTable& table, const ConvPlan& plan, const Data& data,
                       int step = 1) {
  const ConvShape& shape = plan.shape;
  const MapShape map = shape.dst();
  Buffer packed(plan.packed_bytes() / 4), src(shape.src().num_floats());
  Buffer src2(shape.src2().num_floats()), dst(map.num_floats()), again(map.num_floats());
  Buffer scratch(plan.scratch_bytes() / 4);
  std::fill_n(scratch.get(), scratch.size, std::numeric_limits<float>::quiet_NaN());
  pack_conv(plan, data.weight.data(), data.bias.data(), packed.get());
  to_blocked(shape.src(), data.src.data(), src.get());
  to_blocked(shape.src2(), data.src2.data(), src2.get());
  std::fill_n(dst.get(), dst.size, 777.0f);
  zero_border(map, dst.get());
  const ConvArgs args{.src = src.get(),
                      .src2 = src2.get(),
                      .dst = dst.get(),
                      .packed = packed.get(),
                      .scratch = scratch.get()};
  for (int unit = 0; unit < plan.units(); unit += step) {
    table.run_conv(plan, args, unit, std::min(unit + step, plan.units()));
  }
  std::vector<float> out(std::size_t(map.channels) * map.height * map.width);
  from_blocked(map, dst.get(), out.data());
  to_blocked(map, out.data(), again.get());
  EXPECT_TRUE(std::equal(dst.get(), dst.get() + dst.size, again.get()))
      << "the border or the padding channels are not zero, or something is not a number";
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
    const Data data(shape, hard);
    const auto plan = plan_conv(table.traits, shape, {Algorithm::kStrassen, rows});
    ASSERT_TRUE(plan.phases);
    EXPECT_EQ(mismatch(data.expected(), run(table, plan, data, step).data()), "");
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
    check(dilated(48, 0, 32, 32, 32, 18, Activation::kRelu), 18, 1, hard);
  }
}

TEST_P(PhasesTest, TilesGiveTheSameBits) {
  const ConvShape shape = dilated(20, 32, 48, 17, 14, 3, Activation::kRelu);
  const Data data(shape);
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
    const Data data(shape);
    const Map expected = data.definition();
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
