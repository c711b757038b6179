// The fused backend: what it takes, that it gives the reference's results wherever its pieces meet
// those of oneDNN, and when it chooses Strassen's algorithm on its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine_testing.hpp"
#include "mobileone/backends/fused/peak.hpp"
#include "mobileone/backends/fused/strassen_guard.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;
using fused::max_strassen_growth;
using fused::strassen_growth;

// Logits only: squeeze-and-excitation stays inside the fused steps.
CompileOptions logits_of(const Network& network, int threads, Algorithm algorithm) {
  CompileOptions options{threads, {network.graph.output}, false};
  options.algorithm = algorithm;
  return options;
}

bool all_fused(const Plan& plan) {
  for (const StepInfo& step : plan.steps()) {
    if (step.implementation.find("onednn") != std::string::npos) return false;
  }
  return true;
}

std::shared_ptr<const Network> fused_form(const MobileOneConfig& config) {
  return std::make_shared<const Network>(reparameterize(*seeded(config)));
}

class FusedShapes : public ::testing::TestWithParam<Shape> {};

TEST_P(FusedShapes, EveryAlgorithmAndThreadCountMatchesTheReference) {
  MobileOneConfig config = small_config(32, 64, 1);
  add_squeeze_excitation(config, {1, 2});
  const auto network = fused_form(config);
  for (Algorithm algorithm : {Algorithm::automatic, Algorithm::direct, Algorithm::strassen}) {
    std::vector<std::vector<float>> first;
    for (int threads : {1, 2, 3}) {
      const auto plan = compile(network, std::make_shared<WeightCache>(), GetParam(),
                                logits_of(*network, threads, algorithm));
      EXPECT_TRUE(all_fused(*plan));
      const auto found = run(*plan, image(GetParam()));
      expect_near_reference(*network, GetParam(), {network->graph.output}, found);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, FusedShapes,
                         ::testing::Values(Shape{1, 3, 32, 32}, Shape{1, 3, 57, 71},
                                           Shape{2, 3, 64, 33}, Shape{5, 3, 40, 40}));

TEST(Fused, AThreadCountGivesTheSameBitsEveryTime) {
  MobileOneConfig config = small_config(32, 64, 1);
  add_squeeze_excitation(config, {0, 2});
  const auto network = fused_form(config);
  const Shape shape{1, 3, 96, 96};
  const auto plan = compile(network, std::make_shared<WeightCache>(), shape,
                            logits_of(*network, 3, Algorithm::automatic));
  const auto first = run(*plan, image(shape));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(run(*plan, image(shape)), first);
}

TEST(Fused, LeavesOtherInputChannelsToOneDnnAndTakesTheRest) {
  MobileOneConfig config = small_config(16, 32, 1);
  config.in_channels = 4;
  const auto network = fused_form(config);
  const Shape shape{2, 4, 48, 48};
  const auto plan = compile(network, std::make_shared<WeightCache>(), shape,
                            logits_of(*network, 2, Algorithm::automatic));
  EXPECT_FALSE(all_fused(*plan));
  EXPECT_NE(plan->steps().back().implementation.find("fused"), std::string::npos);
  expect_near_reference(*network, shape, {network->graph.output}, run(*plan, image(shape)));
}

TEST(Fused, WithoutItEveryStepIsOneDnns) {
  const auto network = fused_form(small_config(16, 32, 1));
  CompileOptions options = logits_of(*network, 1, Algorithm::automatic);
  options.backend = BackendChoice::onednn;
  const auto plan = compile(network, std::make_shared<WeightCache>(), {1, 3, 32, 32}, options);
  for (const StepInfo& step : plan->steps()) {
    EXPECT_EQ(step.implementation.rfind("onednn", 0), 0u) << step.name;
  }
}

TEST(StrassenGuard, WeightsOfOneSizeGrowByEight) {
  const std::vector<float> depthwise(4 * 9, 1.f), bias(4, 0.f), pointwise(4 * 4, -1.f);
  EXPECT_DOUBLE_EQ(strassen_growth(1, 4, 4, 9, depthwise.data(), bias.data(), pointwise.data()),
                   8.0);
}

TEST(StrassenGuard, WeightsOfOneSizeGrowBySixtyFourWithTwoLevels) {
  const std::vector<float> depthwise(8 * 9, 1.f), bias(8, 0.f), pointwise(8 * 4, -1.f);
  EXPECT_DOUBLE_EQ(strassen_growth(2, 8, 4, 9, depthwise.data(), bias.data(), pointwise.data()),
                   64.0);
}

// Output channels 0 and 1 of four are added by two levels alone.
TEST(StrassenGuard, TwoLevelsAddChannelsThatOneDoesNot) {
  const std::vector<float> depthwise(4 * 9, 1.f), bias(4, 0.f);
  std::vector<float> pointwise(4 * 4, 1.f);
  for (std::size_t j : {0u, 2u}) std::fill_n(pointwise.begin() + 4 * std::ptrdiff_t(j), 4, 1e-4f);
  const auto growth = [&](int levels) {
    return strassen_growth(levels, 4, 4, 9, depthwise.data(), bias.data(), pointwise.data());
  };
  EXPECT_LE(growth(1), max_strassen_growth(1));
  EXPECT_GT(growth(2), max_strassen_growth(2));
}

TEST(StrassenGuard, ASmallOutputChannelBesideALargeOneIsNoticed) {
  const std::vector<float> depthwise(4 * 9, 1.f), bias(4, 0.f);
  std::vector<float> pointwise(4 * 4, 1.f);
  for (int k = 0; k < 4; ++k)
    pointwise[static_cast<std::size_t>(k)] = 1e-4f;  // channel 0, paired with 2
  EXPECT_GT(strassen_growth(1, 4, 4, 9, depthwise.data(), bias.data(), pointwise.data()),
            max_strassen_growth(1));
  for (int k = 0; k < 4; ++k) pointwise[static_cast<std::size_t>(k)] = 0.f;
  EXPECT_LE(strassen_growth(1, 4, 4, 9, depthwise.data(), bias.data(), pointwise.data()), 8.0);
}

TEST(StrassenGuard, ALargeInputChannelWithSmallWeightsIsNoticed) {
  std::vector<float> depthwise(4 * 9, 1.f), bias(4, 0.f), pointwise(4 * 4, 1.f);
  bias[0] = 1e4f;                                                // input channel 0 is large, and
  for (std::size_t j = 0; j < 4; ++j) pointwise[4 * j] = 1e-4f;  // read with small weights
  EXPECT_GT(strassen_growth(1, 4, 4, 9, depthwise.data(), bias.data(), pointwise.data()),
            max_strassen_growth(1));
}

TEST(Peak, IsPositiveAndGrowsWithNothingButThreads) {
  EXPECT_GT(fused::peak_gflops(1), 0.0);
  EXPECT_GT(fused::peak_gflops(2), 0.0);
  EXPECT_THROW(fused::peak_gflops(0), Error);
}

}  // namespace
}  // namespace mobileone
