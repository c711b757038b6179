// Deviations of fp32 rounding: against the closed forms of small cases, and against errors that
// float32 arithmetic really makes.
#include "mobileone/reference/deviation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mobileone/base/error.hpp"
#include "mobileone/reference/evaluate.hpp"

namespace mobileone {
namespace {

using reference::kUnitRoundoff;
using Values = std::vector<double>;

Values normals(std::size_t count, unsigned seed, double mean = 0.0) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(mean);
  Values values(count);
  for (double& value : values) value = static_cast<float>(normal(random));
  return values;
}

// [1, K, 1, P] -> [1, C, 1, P], K terms per sum and no bias.
Network pointwise(std::int64_t terms, std::int64_t outputs, const Values& weight) {
  Network network;
  const NodeId input = network.graph.add("input", Input{terms}, {});
  const Conv2d conv{terms, outputs, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, false};
  network.graph.output = network.graph.add("conv", conv, {input});
  network.weights["conv.weight"] = Tensor::from_doubles({outputs, terms, 1, 1}, weight);
  return network;
}

Values local(const Network& network, const ReferenceTensor& x) {
  const reference::Evaluator evaluator(network, {{"input", x}}, Mode::eval, 1);
  const auto y = reference_forward(network, x, {network.graph.output})[0];
  return reference::local_deviation(evaluator, network.graph.output, {&x}, y);
}

TEST(LocalDeviation, FollowsTheFormulaForASumOfProducts) {
  // Terms 6, -10: sum -4, squares 136; (n + 1) (S^2 / 3 + Q / 6) + Q with n = 2.
  const Network network = pointwise(2, 1, {2, 5});
  const Values t = local(network, {{1, 2, 1, 1}, {3, -2}});
  ASSERT_EQ(t.size(), 1u);
  EXPECT_DOUBLE_EQ(t[0], kUnitRoundoff * std::sqrt(3 * (16.0 / 3 + 136.0 / 6) + 136));
}

// What a plain float32 loop does, in its order.
Values float32_errors(const Values& weight, const ReferenceTensor& x, std::int64_t terms,
                      std::int64_t outputs) {
  const auto pixels = static_cast<std::size_t>(x.shape[3]);
  Values errors;
  for (std::int64_t out = 0; out < outputs; ++out) {
    for (std::size_t p = 0; p < pixels; ++p) {
      float sum = 0.0f;
      double exact = 0.0;
      for (std::int64_t k = 0; k < terms; ++k) {
        const double w = weight[static_cast<std::size_t>(out * terms + k)];
        const double v = x.values[static_cast<std::size_t>(k) * pixels + p];
        const float product = static_cast<float>(w) * static_cast<float>(v);
        sum += product;
        exact += w * v;
      }
      errors.push_back(sum - exact);
    }
  }
  return errors;
}

double rms(const Values& values) {
  double squares = 0.0;
  for (double value : values) squares += value * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Real errors must stay below the model's deviation, and not so far below that it means nothing:
// the error of a rounding is on average u / 2.35 (docs/verification.md), and random signs of
// partial sums do not cancel more than a few times that.
TEST(LocalDeviation, BracketsFloat32SumsOfEverySignPattern) {
  for (double mean : {0.0, 1.0, 5.0}) {
    for (std::int64_t terms : {9, 27, 64, 1024}) {
      const std::int64_t outputs = 16, pixels = 64;
      const Values weight = normals(static_cast<std::size_t>(terms * outputs), 1, mean);
      ReferenceTensor x{{1, terms, 1, pixels},
                        normals(static_cast<std::size_t>(terms * pixels), 2, mean)};
      const double model = rms(local(pointwise(terms, outputs, weight), x));
      const double found = rms(float32_errors(weight, x, terms, outputs));
      EXPECT_LT(found, model) << terms << " terms of mean " << mean;
      EXPECT_GT(found, model / 8) << terms << " terms of mean " << mean;
    }
  }
}

TEST(ErrorDeviation, OfOneOperatorIsItsLocalDeviation) {
  const std::int64_t terms = 64, outputs = 8, pixels = 512;
  const Values weight = normals(static_cast<std::size_t>(terms * outputs), 3);
  const ReferenceTensor x{{1, terms, 1, pixels}, normals(terms * pixels, 4)};
  const Network network = pointwise(terms, outputs, weight);
  const Deviation found =
      error_deviation(network, x, {network.graph.output}, 8, 0, Mode::eval).outputs[0];
  // The weights' own rounding adds u^2 sum (w x)^2.
  double squares = 0.0;
  const Values t = local(network, x);
  for (double value : t) squares += value * value;
  double products = 0.0;
  for (std::size_t c = 0; c < outputs; ++c) {
    for (std::size_t k = 0; k < terms; ++k) {
      for (std::size_t p = 0; p < pixels; ++p) {
        const double product = weight[c * terms + k] * x.values[k * pixels + p];
        products += product * product;
      }
    }
  }
  const double expected =
      std::sqrt((squares + kUnitRoundoff * kUnitRoundoff * products) / (outputs * pixels));
  // 8 x 4096 independent signs: the estimate's relative error is about 1 / sqrt(2 * 32768) = 0.4 %
  // for the results' errors, and 1 / sqrt(2 * 4096) for the 512 weights' x 8 samples: five of them.
  EXPECT_NEAR(found.rms, expected, 0.06 * expected);
  EXPECT_GE(found.local_max, found.rms);
}

TEST(ErrorDeviation, DependsOnTheSeedAndNotOnThreads) {
  const Network network = pointwise(16, 4, normals(64, 5));
  const ReferenceTensor x{{2, 16, 1, 33}, normals(2 * 16 * 33, 6)};
  const auto rms_of = [&](std::uint64_t seed, int threads) {
    return error_deviation(network, x, {network.graph.output}, 3, seed, Mode::eval, threads)
        .outputs[0]
        .rms;
  };
  EXPECT_EQ(rms_of(1, 1), rms_of(1, 4));
  EXPECT_NE(rms_of(1, 1), rms_of(2, 1));
}

// One bright spot in a dark image: its errors are not averaged away with those of the dark.
TEST(ErrorDeviation, KeepsTheDeviationOfABrightSpot) {
  const std::size_t pixels = 4096, spot = 16;
  Network network = pointwise(1, 1, {1});
  ReferenceTensor x{{1, 1, 1, static_cast<std::int64_t>(pixels)}, Values(pixels, 0.0)};
  for (std::size_t p = 800; p < 800 + spot; ++p) x.values[p] = 100.0;
  const Deviation found = error_deviation(network, x, {1}, 4, 0).outputs[0];
  const double local = found.rms * std::sqrt(static_cast<double>(pixels / spot));
  // Two runs of eight pixels make up the spot: the larger one has at least the spot's mean square
  // and at most twice that. (1e-12: the sums are taken in another order.)
  EXPECT_GE(found.local_max, (1 - 1e-12) * local);
  EXPECT_LE(found.local_max, std::sqrt(2.0) * (1 + 1e-12) * local);
}

TEST(ErrorDeviation, OfTheInputIsZero) {
  const Network network = pointwise(2, 1, {1, 2});
  const auto result = error_deviation(network, {{1, 2, 1, 1}, {3, 4}}, {0}, 2, 0);
  EXPECT_EQ(result.outputs[0].rms, 0.0);
  EXPECT_EQ(result.outputs[0].local_max, 0.0);
}

TEST(ErrorDeviation, KeepsNaN) {
  const Network network = pointwise(2, 1, {1, 2});
  const double nan = std::nan("");
  const auto result = error_deviation(network, {{1, 2, 1, 1}, {nan, 4}}, {1}, 2, 0);
  EXPECT_TRUE(std::isnan(result.outputs[0].rms));
  EXPECT_TRUE(std::isnan(result.outputs[0].local_max));
}

TEST(ErrorDeviation, RejectsTooFewSamples) {
  const Network network = pointwise(2, 1, {1, 2});
  EXPECT_THROW(error_deviation(network, {{1, 2, 1, 1}, {3, 4}}, {1}, 0, 0), Error);
}

}  // namespace
}  // namespace mobileone
