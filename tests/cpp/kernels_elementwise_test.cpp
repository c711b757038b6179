// Elementary functions over all of float's range, against float64, on every instruction set.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels::testing {
namespace {

constexpr double kUnit = 0x1p-24;  // half a unit in the last place of 1
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class ElementwiseTest : public KernelTest {
 protected:
  std::vector<float> apply(Elementwise function, const std::vector<float>& x) const {
    Buffer in((x.size() + 15) / 16 * 16), out(in.size);
    std::copy(x.begin(), x.end(), in.get());
    table.elementwise(function, in.get(), out.get(), in.size);
    return {out.get(), out.get() + x.size()};
  }

  // Every `stride`-th float of both signs that `wanted` admits, and every one near the limits that
  // the functions clamp at. |got - f(x)| <= (units + slope |x|) * kUnit * |f(x)| + slack.
  template <typename F, typename Wanted>
  void check(Elementwise function, const F& exact, double units, double slack, const Wanted& wanted,
             double slope = 0.0) const {
    constexpr std::uint32_t kStride = 1009;
    std::vector<float> x;
    const auto add = [&](std::uint32_t bits) {
      const float value = std::bit_cast<float>(bits);
      if (std::isfinite(value) && wanted(value)) x.push_back(value);
    };
    for (std::uint64_t bits = 0; bits < (1ull << 32); bits += kStride) {
      add(static_cast<std::uint32_t>(bits));
    }
    for (float limit : {87.0f, 88.0f, 88.72284f, 89.0f, 103.97208f, 104.0f}) {
      for (std::uint32_t i = 0; i < 200; ++i) {
        const std::uint32_t bits = std::bit_cast<std::uint32_t>(limit) - 100 + i;
        add(bits);
        add(bits | 0x80000000u);
      }
    }
    const std::vector<float> got = apply(function, x);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = exact(double(x[i]));
      if (expected > std::numeric_limits<float>::max()) {  // e^x alone
        ASSERT_EQ(got[i], kInfinity) << x[i];
        continue;
      }
      const double bound = (units + slope * std::abs(x[i])) * kUnit * std::abs(expected) + slack;
      ASSERT_LE(std::abs(got[i] - expected), bound)
          << "x " << x[i] << " got " << got[i] << " expected " << expected;
    }
  }
};

// u for the entry of the table, u for the last sum, then, of AVX-512 and AVX2: 0.9 u and 0.4 u for
// the fit, 0.1 u and 0.3 u for what is rounded in terms that are multiplied by f ln 2 <= 0.011 and
// 0.044 (three roundings each), and for the argument.
constexpr double kExpUnits = 3.0;

TEST_P(ElementwiseTest, Exp) {
  // Half the smallest denormal, and once more where AVX2 rounds a product and then its half.
  check(
      Elementwise::kExp, [](double x) { return std::exp(x); }, kExpUnits, 0x1p-149,
      [](float) { return true; });
}

TEST_P(ElementwiseTest, Exp2Saturating) {
  check(
      Elementwise::kExp2Saturating, [](double x) { return std::exp2(x); }, kExpUnits, 0.0,
      [](float x) { return std::abs(x) <= 125.0f; });
  std::vector<float> low, high;
  for (float x = 125.0f; std::isfinite(x); x *= 1.01f) {
    low.push_back(-x);
    high.push_back(x);
  }
  for (float y : apply(Elementwise::kExp2Saturating, low)) {
    EXPECT_GE(y, 0.0f);
    EXPECT_LE(y, 0x1p-125f * (1.0f + 0x1p-20f));
  }
  for (float y : apply(Elementwise::kExp2Saturating, high)) {
    EXPECT_GE(y, 0x1p125f * (1.0f - 0x1p-20f));
  }
  const float nothing = apply(Elementwise::kExp2Saturating, {-kInfinity})[0];
  EXPECT_TRUE(std::isnan(nothing) || nothing <= 0x1p-125f);
  const float everything = apply(Elementwise::kExp2Saturating, {kInfinity})[0];
  EXPECT_TRUE(std::isnan(everything) || everything >= 0x1p125f);
  EXPECT_TRUE(std::isnan(apply(Elementwise::kExp2Saturating, {kNan})[0]));
}

// An error of the exponential reaches 1 / (1 + e) by a factor below 1; the addition, the estimate's
// refined quotient (two roundings) and, for SiLU, the product add u each. SiLU's exponential takes
// log2(e) rounded to float, off by 0.23 u.
TEST_P(ElementwiseTest, Sigmoid) {
  check(
      Elementwise::kSigmoid, [](double x) { return 1.0 / (1.0 + std::exp(-x)); }, kExpUnits + 3.0,
      0x1p-125, [](float) { return true; });
}

TEST_P(ElementwiseTest, Silu) {
  check(
      Elementwise::kSilu, [](double x) { return x / (1.0 + std::exp(-x)); }, kExpUnits + 4.0, 2e-36,
      [](float) { return true; }, 0.25);
}

TEST_P(ElementwiseTest, NanAndInfinity) {
  const std::vector<float> x{kNan, kInfinity, -kInfinity, 0.0f, -0.0f};
  const std::vector<float> e = apply(Elementwise::kExp, x);
  EXPECT_TRUE(std::isnan(e[0]));
  EXPECT_EQ(std::vector(e.begin() + 1, e.end()), (std::vector{kInfinity, 0.0f, 1.0f, 1.0f}));
  const std::vector<float> s = apply(Elementwise::kSigmoid, x);
  EXPECT_TRUE(std::isnan(s[0]));
  EXPECT_EQ(s[1], 1.0f);
  EXPECT_LE(s[2], 0x1p-125f);
  EXPECT_EQ(s[3], 0.5f);
  const std::vector<float> y = apply(Elementwise::kSilu, x);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(std::vector(y.begin() + 1, y.end()), (std::vector{kInfinity, 0.0f, 0.0f, 0.0f}));
}

TEST_P(ElementwiseTest, InPlace) {
  Buffer data(32);
  const std::vector<float> x = random_floats(32, 1, 4.0f);
  std::copy(x.begin(), x.end(), data.get());
  table.elementwise(Elementwise::kSilu, data.get(), data.get(), 32);
  EXPECT_EQ(std::vector(data.get(), data.get() + 32), apply(Elementwise::kSilu, x));
}

MOBILEONE_FOR_ALL_TABLES(ElementwiseTest);

}  // namespace
}  // namespace mobileone::kernels::testing
