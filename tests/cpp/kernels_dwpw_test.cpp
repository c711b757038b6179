// The fused depthwise -> pointwise block against its float64 reference, on every instruction set.
#include <gtest/gtest.h>

#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

struct BlockData {
  DwPwShape shape;
  std::vector<float> src, depthwise, depthwise_bias, pointwise, pointwise_bias;

  explicit BlockData(const DwPwShape& s, bool hard = false) : shape(s) {
    const auto make = [&](std::size_t n, unsigned seed, float scale) {
      return hard ? hard_floats(n, seed) : random_floats(n, seed, scale);
    };
    src = make(std::size_t(s.channels_in) * s.height * s.width, 1, 1.0f);
    depthwise = make(std::size_t(s.channels_in) * 9, 2, 0.5f);
    depthwise_bias = make(s.channels_in, 3, 0.5f);
    pointwise = make(std::size_t(s.channels_in) * s.channels_out, 4, 0.2f);
    pointwise_bias = make(s.channels_out, 5, 0.5f);
  }

  Map intermediate() const {
    Map map = conv3x3(exact_map(shape.channels_in, shape.height, shape.width, src),
                      shape.channels_in, true, shape.stride, depthwise, depthwise_bias);
    if (shape.depthwise_relu) relu(map);
    return map;
  }
};

// Runs the block with one call per unit range of `step` units; checks the padding on the way out.
std::vector<float> run_block(const KernelTable& table, const DwPwPlan& plan, const BlockData& data,
                             int step) {
  const DwPwShape& shape = plan.shape;
  Buffer packed(plan.packed_bytes() / 4), scratch(plan.scratch_bytes() / 4);
  std::fill_n(scratch.get(), scratch.size, std::numeric_limits<float>::quiet_NaN());
  pack_dwpw(plan, data.depthwise.data(), data.depthwise_bias.data(), data.pointwise.data(),
            data.pointwise_bias.data(), packed.get());
  Buffer src(shape.src().num_floats()), dst(shape.dst().num_floats());
  to_blocked(shape.src(), data.src.data(), src.get());
  std::fill_n(dst.get(), dst.size, 777.0f);
  zero_border(shape.dst(), dst.get());
  DwPwArgs args{
      .src = src.get(), .dst = dst.get(), .packed = packed.get(), .scratch = scratch.get()};
  for (int unit = 0; unit < plan.units(); unit += step) {
    table.run_dwpw(plan, args, unit, std::min(unit + step, plan.units()));
  }
  std::vector<float> out(std::size_t(shape.channels_out) * shape.out_height() * shape.out_width());
  from_blocked(shape.dst(), dst.get(), out.data());
  Buffer again(dst.size);
  to_blocked(shape.dst(), out.data(), again.get());
  const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  EXPECT_TRUE(std::equal(dst.get(), dst.get() + dst.size, again.get(), same))
      << "the border or the padding channels are not zero";
  return out;
}

class DwPwTest : public ::testing::TestWithParam<Isa> {
 protected:
  const KernelTable& table = kernels(GetParam());

  void check(const DwPwShape& shape, int tile_rows, int parts, int step) {
    SCOPED_TRACE(::testing::Message() << isa_name(GetParam()) << " C " << shape.channels_in << " N "
                                      << shape.channels_out << " " << shape.height << "x"
                                      << shape.width << " stride " << shape.stride << " rows "
                                      << tile_rows << " parts " << parts << " step " << step);
    const BlockData data(shape);
    Map expected =
        conv1x1(data.intermediate(), shape.channels_out, data.pointwise, data.pointwise_bias);
    if (shape.pointwise_relu) relu(expected);
    const auto plan = plan_dwpw(table.panel_blocks, shape, {Algorithm::kDirect, tile_rows, parts});
    EXPECT_EQ(mismatch(expected, run_block(table, plan, data, step).data()), "");
  }
};

TEST_P(DwPwTest, AwkwardChannels) {
  const int channels[] = {1, 3, 15, 16, 17, 48, 97};
  for (int in : channels) {
    for (int out : channels) check({in, out, 9, 7, 1 + (in + out) % 2}, 2, 1 + out % 3, 1 + in % 4);
  }
}

TEST_P(DwPwTest, AwkwardSizes) {
  for (int height : {1, 2, 7, 13, 32}) {
    for (int width : {1, 2, 7, 13, 31, 57}) {
      for (int stride : {1, 2}) check({20, 33, height, width, stride}, 3, 2, 3);
    }
  }
}

TEST_P(DwPwTest, LargeOddMaps) {
  check({16, 48, 257, 113, 2}, 4, 1, 5);
  check({17, 16, 131, 257, 1}, 1, 1, 100);
}

TEST_P(DwPwTest, NetworkShapes) {
  check({48, 48, 56, 56, 1}, 4, 1, 14);
  check({128, 256, 28, 28, 2}, 14, 2, 1);
  check({256, 1024, 14, 14, 2}, 7, 4, 1);
}

TEST_P(DwPwTest, WithoutActivations) {
  check({17, 33, 9, 9, 1, false, false}, 3, 1, 1);
  check({17, 33, 9, 9, 2, true, false}, 3, 1, 1);
}

void check_strassen(const KernelTable& table, const DwPwShape& shape, int rows, int parts,
                    bool hard) {
  SCOPED_TRACE(::testing::Message() << isa_name(table.isa) << " C " << shape.channels_in << " N "
                                    << shape.channels_out << " " << shape.height << "x"
                                    << shape.width << " rows " << rows << " hard " << hard);
  const BlockData data(shape, hard);
  const Map t = data.intermediate();
  Map expected = conv1x1(t, shape.channels_out, data.pointwise, data.pointwise_bias);
  relu(expected);
  std::fill(expected.bound.begin(), expected.bound.end(), 0.0);
  const auto plan = plan_dwpw(table.panel_blocks, shape, {Algorithm::kStrassen, rows, parts});
  EXPECT_EQ(mismatch(expected, run_block(table, plan, data, 1 + parts).data(),
                     strassen_bound(t, data.pointwise, data.pointwise_bias)),
            "");
}

TEST_P(DwPwTest, Strassen) {
  for (bool hard : {false, true}) {
    check_strassen(table, {32, 32, 4, 6, 1}, 2, 1, hard);
    check_strassen(table, {31, 96, 8, 7, 1}, 2, 1, hard);
    check_strassen(table, {32, 64, 1, 1, 1}, 1, 1, hard);
    check_strassen(table, {64, 64, 7, 7, 1}, 7, 2, hard);
    check_strassen(table, {64, 32, 13, 9, 2}, 3, 1, hard);
    check_strassen(table, {64, 128, 13, 14, 1}, 5, 3, hard);
    check_strassen(table, {96, 192, 28, 28, 2}, 7, 2, hard);
    check_strassen(table, {128, 224, 14, 14, 1}, 14, 2, hard);
    check_strassen(table, {224, 224, 14, 14, 1}, 14, 2, hard);
  }
}

// Strassen's maximum-norm bound is loose; on ordinary data the error must be near the direct one's.
TEST_P(DwPwTest, StrassenIsAboutAsAccurateAsDirectOnOrdinaryData) {
  const DwPwShape shape{256, 256, 14, 14, 1, true, false};
  const BlockData data(shape);
  const Map expected =
      conv1x1(data.intermediate(), shape.channels_out, data.pointwise, data.pointwise_bias);
  double rms[2] = {0.0, 0.0};
  for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen}) {
    const auto plan = plan_dwpw(table.panel_blocks, shape, {algorithm, 14});
    const std::vector<float> got = run_block(table, plan, data, 1);
    double& total = rms[algorithm == Algorithm::kStrassen];
    for (std::size_t i = 0; i < got.size(); ++i) {
      total += (got[i] - expected.value[i]) * (got[i] - expected.value[i]);
    }
  }
  // Each of the seven products has operands up to 3 (S) and 3 (T) times larger than A and B; their
  // root mean squares grow by at most sqrt(4) each, and up to 4 products meet in one output.
  EXPECT_LE(std::sqrt(rms[1] / rms[0]), 4.0 * 2.0);
}

TEST_P(DwPwTest, PartitionsAreBitwiseEqual) {
  const DwPwShape shape{48, 112, 14, 14, 1};
  const BlockData data(shape);
  const auto whole = plan_dwpw(table.panel_blocks, shape, {Algorithm::kDirect, 14, 1});
  const std::vector<float> expected = run_block(table, whole, data, 1);
  for (int rows : {1, 4, 7}) {
    for (int parts : {1, 2, 3}) {
      const auto plan = plan_dwpw(table.panel_blocks, shape, {Algorithm::kDirect, rows, parts});
      EXPECT_EQ(run_block(table, plan, data, 2), expected) << "rows " << rows << " parts " << parts;
    }
  }
}

TEST_P(DwPwTest, NanAndInfinityPassThrough) {
  const DwPwShape shape{16, 32, 6, 6, 1};
  BlockData data(shape);
  data.src[0] = std::numeric_limits<float>::quiet_NaN();
  const auto plan = plan_dwpw(table.panel_blocks, shape, {Algorithm::kDirect, 6});
  const std::vector<float> got = run_block(table, plan, data, 1);
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_FALSE(std::isnan(got[35]));
}

TEST(DwPwPlan, RejectsBadArguments) {
  const DwPwShape good{32, 32, 4, 4, 1};
  EXPECT_THROW(plan_dwpw(2, {0, 32, 4, 4, 1}, {Algorithm::kDirect, 1}), std::invalid_argument);
  EXPECT_THROW(plan_dwpw(2, {32, 32, 4, 4, 3}, {Algorithm::kDirect, 1}), std::invalid_argument);
  EXPECT_THROW(plan_dwpw(2, good, {Algorithm::kDirect, 0}), std::invalid_argument);
  EXPECT_THROW(plan_dwpw(2, good, {Algorithm::kDirect, 1, 0}), std::invalid_argument);
  EXPECT_THROW(plan_dwpw(2, {48, 32, 4, 4, 1}, {Algorithm::kStrassen, 2}), std::invalid_argument);
  EXPECT_THROW(plan_dwpw(2, {32, 63, 4, 4, 1}, {Algorithm::kStrassen, 2}), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Isas, DwPwTest, ::testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(isa_name(isa.param)); });

}  // namespace
}  // namespace mobileone::kernels::testing
