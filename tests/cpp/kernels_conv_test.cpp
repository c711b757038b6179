// Dense convolutions on blocked maps against their float64 reference, on every instruction set.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels_conv_testing.hpp"
#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

using namespace mobileone::kernels::reference;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class ConvTest : public KernelTest {
 protected:
  void check(const ConvShape& shape, const Tiling& tiling, int step) {
    SCOPED_TRACE(::testing::Message()
                 << label(table) << " C " << shape.channels_in << "+" << shape.channels_in2 << " N "
                 << shape.channels_out << " " << shape.height << "x" << shape.width << " kernel "
                 << shape.kernel << " rows " << tiling.tile_rows << " parts " << tiling.column_parts
                 << " step " << step);
    const ConvData data(shape);
    const auto plan = plan_conv(table.traits, shape, tiling);
    EXPECT_EQ(mismatch(data.expected(), run_conv(table, plan, data, step).data()), "");
  }
};

TEST_P(ConvTest, AwkwardChannels) {
  const int channels[] = {1, 15, 16, 17, 24, 48, 80};
  for (int in : channels) {
    for (int out : channels) {
      for (int kernel : {1, 3}) {
        check({in, 0, out, 6, 7, kernel, kActivations[(in + out) % std::size(kActivations)],
               in % 2 == 0},
              {Algorithm::kDirect, 2, 1 + out % 3}, 1 + in % 4);
      }
    }
  }
}

TEST_P(ConvTest, Dilations) {
  for (int dilation : {2, 3, 5, 6, 11, 40}) {
    for (int width : {1, 4, 9, 12, 33}) {
      ConvShape shape{17, 0, 40, 8, width, 3, kActivations[width % std::size(kActivations)]};
      shape.dilation = dilation;
      check(shape, {Algorithm::kDirect, 3, 1 + width % 2}, 2);
      shape.channels_in2 = dilation;
      check(shape, {Algorithm::kDirect, 2, 1}, 3);
    }
  }
}

TEST_P(ConvTest, Strides) {
  for (int kernel : {1, 3}) {
    for (int width : {1, 2, 7, 14, 29, 32, 57}) {
      for (int height : {1, 6, 9}) {
        ConvShape shape{19,
                        0,
                        40,
                        height,
                        width,
                        kernel,
                        {kActivations[width % std::size(kActivations)], height == 6}};
        shape.stride = 2;
        check(shape, {Algorithm::kDirect, 2, 1 + width % 2}, 2);
        shape.channels_in2 = height;
        check(shape, {Algorithm::kDirect, 3, 1}, 1);
      }
    }
  }
}

TEST_P(ConvTest, AwkwardSizes) {
  for (int height : {1, 2, 7, 16}) {
    for (int width : {1, 2, 5, 13, 33}) {
      for (int kernel : {1, 3}) {
        check({20, 0, 33, height, width, kernel, Activation::kSilu, height == 7},
              {Algorithm::kDirect, 3, 2}, 3);
      }
    }
  }
}

TEST_P(ConvTest, TwoSourcesAreTheirConcatenation) {
  for (int kernel : {1, 3}) {
    check({16, 16, 16, 5, 9, kernel, Activation::kSilu}, {Algorithm::kDirect, 2}, 1);
    check({24, 24, 24, 6, 6, kernel, Activation::kSilu}, {Algorithm::kDirect, 4}, 2);
    check({3, 40, 17, 7, 8, kernel, Activation::kRelu, true}, {Algorithm::kDirect, 7, 2}, 1);
    check({80, 80, 80, 8, 8, kernel, Activation::kSilu}, {Algorithm::kDirect, 2, 3}, 4);
  }
}

TEST_P(ConvTest, NetworkShapes) {
  check({96, 96, 96, 32, 32, 3, Activation::kSilu}, {Algorithm::kDirect, 4}, 2);
  check({160, 0, 640, 8, 8, 1, Activation::kSilu}, {Algorithm::kDirect, 8, 4}, 1);
}

void check_strassen(const KernelTable& table, const ConvShape& shape, int rows, int parts,
                    bool hard) {
  SCOPED_TRACE(::testing::Message()
               << label(table) << " C " << shape.channels_in << "+" << shape.channels_in2 << " N "
               << shape.channels_out << " " << shape.height << "x" << shape.width << " rows "
               << rows << " hard " << hard);
  const ConvData data(shape, hard);
  // Of the product alone: what follows it has a derivative of 1.1 at most.
  const double bound = 1.1 * strassen_bound(data.source(), data.weight, data.bias);
  const auto plan = plan_conv(table.traits, shape, {Algorithm::kStrassen, rows, parts});
  EXPECT_EQ(mismatch(data.expected(), run_conv(table, plan, data, 1 + parts).data(), bound), "");
}

void check_winograd(const KernelTable& table, const ConvShape& shape, int rows, bool hard) {
  SCOPED_TRACE(::testing::Message()
               << label(table) << " C " << shape.channels_in << "+" << shape.channels_in2 << " N "
               << shape.channels_out << " " << shape.height << "x" << shape.width << " rows "
               << rows << " hard " << hard);
  const ConvData data(shape, hard);
  const Map source = data.source();
  Map expected = conv(source, shape.channels_out, {3, shape.stride, false}, data.weight, data.bias);
  winograd_bounds(source, shape.stride, window_columns(windows_of(shape)), data.weight, data.bias,
                  expected);
  const auto plan = plan_conv(table.traits, shape, {Algorithm::kStrassen, rows, 2});
  ASSERT_TRUE(plan.winograd);
  EXPECT_EQ(mismatch(data.finish(expected), run_conv(table, plan, data, 2).data()), "");
}

TEST_P(ConvTest, Winograd) {
  for (bool hard : {false, true}) {
    check_winograd(table, {1, 0, 1, 2, 2, 3, Activation::kNone}, 1, hard);
    check_winograd(table, {16, 0, 17, 4, 6, 3, Activation::kRelu}, 2, hard);
    check_winograd(table, {24, 0, 48, 6, 34, 3, Activation::kSilu}, 3, hard);
    check_winograd(table, {17, 20, 40, 14, 10, 3, Activation::kSilu, true}, 4, hard);
    check_winograd(table, {48, 48, 48, 32, 32, 3, Activation::kSilu}, 8, hard);
    check_winograd(table, {80, 0, 80, 8, 8, 3, Activation::kHardSwish, true}, 8, hard);
    check_winograd(table, {33, 0, 64, 2, 30, 3, Activation::kRelu6}, 9, hard);
  }
}

ConvShape strided(ConvShape shape) {
  shape.stride = 2;
  return shape;
}

TEST_P(ConvTest, WinogradOfStride2) {
  for (bool hard : {false, true}) {
    check_winograd(table, strided({1, 0, 1, 4, 4, 3, Activation::kNone}), 1, hard);
    check_winograd(table, strided({16, 0, 17, 8, 11, 3, Activation::kRelu}), 2, hard);
    check_winograd(table, strided({24, 0, 48, 11, 68, 3, Activation::kSilu}), 3, hard);
    check_winograd(table, strided({17, 20, 40, 28, 19, 3, Activation::kSilu, true}), 4, hard);
    check_winograd(table, strided({32, 0, 96, 56, 56, 3, Activation::kRelu}), 8, hard);
    check_winograd(table, strided({33, 0, 64, 3, 60, 3, Activation::kRelu6}), 9, hard);
  }
}

TEST_P(ConvTest, WinogradOfWideWindows) {
  EXPECT_EQ(windows_of(strided({32, 0, 96, 56, 56, 3})), Windows::kWide);
  EXPECT_EQ(windows_of(strided({32, 0, 160, 56, 56, 3})), Windows::kStrided);
  EXPECT_EQ(windows_of(strided({32, 0, 96, 60, 60, 3})), Windows::kStrided);
  for (bool hard : {false, true}) {
    check_winograd(table, strided({1, 0, 1, 4, 8, 3, Activation::kNone}), 1, hard);
    check_winograd(table, strided({16, 0, 17, 8, 15, 3, Activation::kRelu}), 2, hard);
    check_winograd(table, strided({17, 20, 40, 28, 24, 3, Activation::kSilu, true}), 4, hard);
    check_winograd(table, strided({33, 0, 64, 3, 63, 3, Activation::kRelu6}), 9, hard);
  }
}

// Its bound counts magnitudes of whole windows; on ordinary data the error is near the direct
// one's.
void check_accuracy(const KernelTable& table, const ConvShape& shape) {
  const ConvData data(shape);
  const Map expected = data.expected();
  double rms[2] = {};
  for (Algorithm algorithm : {Algorithm::kDirect, Algorithm::kStrassen}) {
    const auto plan = plan_conv(table.traits, shape, {algorithm, 4});
    const std::vector<float> got = run_conv(table, plan, data, 1);
    double& total = rms[algorithm == Algorithm::kStrassen];
    for (std::size_t i = 0; i < got.size(); ++i) total += std::pow(got[i] - expected.value[i], 2);
  }
  // Of independent numbers the 16 products' terms have (5 / 3)^2 = 2.8 times the variance of the
  // nine products' that they replace, in sums a ninth as long. Of stride 2 the terms of one side,
  // (a
  // - b) g0, d0 g1 and b (g0 + g2), have 5 / 3 times that of the three that they replace; so twice
  // again 2.8, in sums four ninths as long.
  EXPECT_LT(rms[1], 4 * rms[0]);
  EXPECT_NE(rms[1], rms[0]);
}

TEST_P(ConvTest, WinogradIsAboutAsAccurateAsDirectOnOrdinaryData) {
  check_accuracy(table, {64, 0, 64, 16, 16, 3});
  check_accuracy(table, strided({64, 0, 68, 32, 32, 3}));
  // Of wide windows (Ap)^2 |Bp|^2 |Gp|^2 is 7.6, 5.9, 9.2 and 32.6 for 3 on the four columns: 4.6
  // times as much on average, and 2.8 / 1.7 of the other side, in sums four ninths as long.
  check_accuracy(table, strided({64, 0, 64, 32, 32, 3}));
}

TEST_P(ConvTest, WinogradsTilesGiveTheSameBits) {
  for (int stride : {1, 2}) {
    ConvShape shape{20, 32, 48, 12 * stride, 14 * stride, 3, Activation::kSilu, true};
    shape.stride = stride;
    const ConvData data(shape);
    const auto whole = plan_conv(table.traits, shape, {Algorithm::kStrassen, 12});
    const std::vector<float> expected = run_conv(table, whole, data, 1);
    for (int rows : {1, 4, 5, 10}) {
      const auto plan = plan_conv(table.traits, shape, {Algorithm::kStrassen, rows, 3});
      for (int step : {1, 2}) EXPECT_EQ(run_conv(table, plan, data, step), expected) << rows;
    }
  }
}

TEST_P(ConvTest, Strassen) {
  for (bool hard : {false, true}) {
    check_strassen(table, {32, 0, 32, 4, 6, 1, Activation::kSilu}, 2, 1, hard);
    check_strassen(table, {64, 0, 96, 7, 7, 1, Activation::kNone, true}, 7, 2, hard);
    check_strassen(table, {32, 0, 64, 9, 7, 1, Activation::kRelu}, 3, 1, hard);
    check_strassen(table, {64, 64, 64, 13, 5, 1, Activation::kSilu, true}, 5, 2, hard);
    check_strassen(table, {16, 16, 32, 1, 1, 1, Activation::kSilu}, 1, 1, hard);
    check_strassen(table, {96, 96, 96, 8, 8, 1, Activation::kSilu}, 8, 3, hard);
  }
}

TEST_P(ConvTest, ThreadsAndPartitionsGiveTheSameBits) {
  const ConvShape shape{32, 32, 112, 12, 11, 3, Activation::kSilu, true};
  const ConvData data(shape);
  const auto whole = plan_conv(table.traits, shape, {Algorithm::kDirect, 12});
  const std::vector<float> expected = run_conv(table, whole, data, 1);
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    for (int rows : {1, 5}) {
      const auto plan = plan_conv(table.traits, shape, {Algorithm::kDirect, rows, 2});
      const ConvRun run(plan, data);
      std::vector<Buffer> scratch;
      for (int i = 0; i < threads; ++i) scratch.emplace_back(plan.scratch_bytes() / 4);
      ASSERT_TRUE(pool.run(plan.units(), [&](int thread, int unit) {
        run.units(table, unit, unit + 1, scratch[std::size_t(thread)].get());
      }));
      EXPECT_EQ(run.result(), expected) << threads << " threads, rows " << rows;
    }
  }
}

TEST_P(ConvTest, NanStaysInItsWindow) {
  const ConvShape shape{16, 0, 32, 6, 6, 3, Activation::kSilu};
  ConvData data(shape);
  data.src[0] = kNan;
  const auto plan = plan_conv(table.traits, shape, {Algorithm::kDirect, 6});
  const std::vector<float> got = run_conv(table, plan, data, 1);
  for (int pixel = 0; pixel < 36; ++pixel) {
    EXPECT_EQ(std::isnan(got[std::size_t(pixel)]), pixel / 6 < 2 && pixel % 6 < 2) << pixel;
  }
}

TEST(ConvPlan, GoesByRowsWhereTheyFillAMicrokernel) {
  const auto by_rows = [](const IsaTraits& isa, int width, Algorithm algorithm) {
    return plan_conv(isa, {32, 0, 32, 8, width, 3}, {algorithm, 2}).by_rows;
  };
  for (int width : {8, 14, 16, 32, 33})
    EXPECT_TRUE(by_rows(avx512::kTraits, width, Algorithm::kDirect)) << width;
  for (int width : {1, 7, 15})
    EXPECT_FALSE(by_rows(avx512::kTraits, width, Algorithm::kDirect)) << width;
  for (int width : {5, 6, 16, 33})
    EXPECT_TRUE(by_rows(avx2::kTraits, width, Algorithm::kDirect)) << width;
  for (int width : {1, 4, 8})
    EXPECT_FALSE(by_rows(avx2::kTraits, width, Algorithm::kDirect)) << width;
  EXPECT_FALSE(by_rows(avx512::kTraits, 32, Algorithm::kStrassen));
  ConvShape strided{32, 0, 32, 8, 57, 3};  // 29 output pixels
  strided.stride = 2;
  EXPECT_TRUE(plan_conv(avx512::kTraits, strided, {Algorithm::kDirect, 2}).by_rows);
  strided.width = 30;
  EXPECT_FALSE(plan_conv(avx512::kTraits, strided, {Algorithm::kDirect, 2}).by_rows);
}

TEST(ConvPlan, RejectsBadArguments) {
  const ConvShape good{32, 0, 32, 4, 4, 3};
  EXPECT_NO_THROW(plan_conv(avx512::kTraits, good, {Algorithm::kDirect, 1}));
  EXPECT_THROW(plan_conv(avx512::kTraits, {0, 0, 32, 4, 4, 3}, {Algorithm::kDirect, 1}),
               std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, {32, -1, 32, 4, 4, 3}, {Algorithm::kDirect, 1}),
               std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, {32, 0, 32, 4, 4, 5}, {Algorithm::kDirect, 1}),
               std::invalid_argument);
  ConvShape strided = good;
  strided.stride = 2;
  EXPECT_NO_THROW(plan_conv(avx512::kTraits, strided, {Algorithm::kDirect, 1}));
  EXPECT_NO_THROW(plan_conv(avx512::kTraits, strided, {Algorithm::kStrassen, 2}));
  EXPECT_THROW(plan_conv(avx512::kTraits, {64, 0, 64, 4, 4, 1}, {Algorithm::kTwoLevels, 4}),
               std::invalid_argument);
  strided.width = 6;  // three output pixels
  EXPECT_THROW(plan_conv(avx512::kTraits, strided, {Algorithm::kStrassen, 2}),
               std::invalid_argument);
  strided.dilation = 2;
  EXPECT_THROW(plan_conv(avx512::kTraits, strided, {Algorithm::kDirect, 1}), std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, good, {Algorithm::kDirect, 0}), std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, good, {Algorithm::kDirect, 1, 0}), std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, {48, 0, 32, 4, 4, 1}, {Algorithm::kStrassen, 2}),
               std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, {32, 0, 60, 4, 4, 1}, {Algorithm::kStrassen, 2}),
               std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, {32, 0, 32, 4, 5, 3}, {Algorithm::kStrassen, 2}),
               std::invalid_argument);
  EXPECT_THROW(plan_conv(avx512::kTraits, {32, 0, 32, 7, 4, 3}, {Algorithm::kStrassen, 2}),
               std::invalid_argument);
}

MOBILEONE_FOR_ALL_TABLES(ConvTest);

}  // namespace
}  // namespace mobileone::kernels::testing
