// What follows a convolution's sums: residual and activation, against float64.
#include <gtest/gtest.h>

#include <limits>

#include "kernels_testing.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/kernels/reference/reference.hpp"

namespace mobileone::kernels::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using FinishTest = KernelTest;

// Values from the smallest to the largest magnitudes, both signs, and the ends.
std::vector<float> all_magnitudes() {
  std::vector<float> values;
  for (float sign : {-1.0f, 1.0f}) {
    for (int i = -126 * 64; i < 127 * 64; ++i) {
      values.push_back(sign * std::exp2(static_cast<float>(i) / 64.0f));
    }
    for (int i = 0; i < 90 * 64; ++i) values.push_back(sign * static_cast<float>(i) / 64.0f);
    values.push_back(sign * std::numeric_limits<float>::max());
  }
  values.resize(std::size_t(padded(static_cast<int>(values.size()))) + kBlock);  // an odd block
  return values;
}

TEST_P(FinishTest, AppliesSiluToAnyNumber) {
  const std::vector<float> x = all_magnitudes();
  const double u = std::ldexp(1.0, -24);
  for (std::size_t count : {x.size(), x.size() - kBlock}) {  // an odd and an even number of blocks
    Buffer data(count);
    std::copy_n(x.begin(), count, data.get());
    table.finish(Activation::kSilu, nullptr, data.get(), static_cast<std::ptrdiff_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
      const double exact = x[i] / (1.0 + std::exp(-double(x[i])));
      const double vanishing = x[i] < -87.0f ? -x[i] * std::ldexp(1.0, -125) : 0.0;
      const double bound = (6.0 + std::abs(x[i]) / 4.0) * u * std::abs(exact) + vanishing;
      ASSERT_LE(std::abs(data.get()[i] - exact), bound + std::ldexp(1.0, -149)) << x[i];
    }
  }
}

TEST_P(FinishTest, PassesNanAndInfinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Buffer data(2 * kBlock);
  for (int start : {0, kBlock}) {
    data.get()[start] = kNan;
    data.get()[start + 1] = kInfinity;
  }
  table.finish(Activation::kSilu, nullptr, data.get(), 2 * kBlock);
  for (int i = 0; i < 2 * kBlock; ++i) {
    const float got = data.get()[i];
    EXPECT_TRUE(i % kBlock == 0 ? std::isnan(got) : got == (i % kBlock == 1 ? kInfinity : 0.0f))
        << i << ": " << got;
  }
}

// Every row of activation.hpp keeps the error that it states, on any number, alone and after a sum.
TEST_P(FinishTest, EveryActivationKeepsItsError) {
  std::vector<float> x = all_magnitudes();
  // e^-x of numbers below -87 is beyond float's range; the tests of SiLU and the sigmoid go there.
  std::erase_if(x, [](float value) { return value < -87.0f; });
  x.resize(x.size() / kBlock * kBlock);
  const std::vector<float> y = random_floats(x.size(), 2);
  const int count = static_cast<int>(x.size());
  for (Activation activation : kActivations) {
    for (bool sum : {false, true}) {
      SCOPED_TRACE(::testing::Message() << activation_name(activation) << ", sum " << sum);
      Buffer data(x.size());
      std::copy(x.begin(), x.end(), data.get());
      table.finish(activation, sum ? y.data() : nullptr, data.get(), count);
      reference::Map expected = reference::exact_map(1, 1, count, x);
      if (sum) reference::add(expected, reference::exact_map(1, 1, count, y));
      reference::activate(activation, expected);
      EXPECT_EQ(reference::mismatch(expected, data.get(), 0x1p-125), "");
    }
  }
}

TEST_P(FinishTest, EveryActivationPassesNan) {
  for (Activation activation : kActivations) {
    for (bool sum : {false, true}) {
      Buffer data(2 * kBlock), other(2 * kBlock);
      data.get()[1] = data.get()[kBlock] = kNan;
      table.finish(activation, sum ? other.get() : nullptr, data.get(), 2 * kBlock);
      for (int i = 0; i < 2 * kBlock; ++i) {
        EXPECT_EQ(std::isnan(data.get()[i]), i == 1 || i == kBlock)
            << activation_name(activation) << " " << i;
      }
    }
  }
}

TEST_P(FinishTest, NoneAndReluAreExact) {
  const std::vector<float> x = random_floats(3 * kBlock, 1), y = random_floats(3 * kBlock, 2);
  for (Activation activation : {Activation::kNone, Activation::kRelu}) {
    for (const float* other : {static_cast<const float*>(nullptr), y.data()}) {
      Buffer data(x.size());
      std::copy(x.begin(), x.end(), data.get());
      table.finish(activation, other, data.get(), 3 * kBlock);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const float sum = other == nullptr ? x[i] : x[i] + y[i];
        EXPECT_EQ(data.get()[i], activation == Activation::kRelu ? std::max(sum, 0.0f) : sum);
      }
    }
  }
}

TEST(Activations, AreFoundByName) {
  for (Activation activation : kActivations) {
    EXPECT_EQ(find_activation(activation_name(activation)), activation);
  }
  EXPECT_EQ(find_activation("relu"), Activation::kRelu);
  EXPECT_EQ(find_activation("softplus"), std::nullopt);
}

MOBILEONE_FOR_ALL_TABLES(FinishTest);

}  // namespace
}  // namespace mobileone::kernels::testing
