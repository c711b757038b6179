// The compiled engine against the float64 reference, over channel counts and sizes that leave
// remainders in every packing.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

class Widths : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(Widths, BothFormsMatchTheReference) {
  for (const Shape& shape : {Shape{1, 3, 32, 32}, Shape{2, 3, 37, 45}, Shape{5, 3, 33, 64}}) {
    for (std::int64_t branches : {1, 3}) {
      const auto train_time = seeded(small_config(GetParam(), GetParam() + 1, branches));
      const auto fused = std::make_shared<const Network>(reparameterize(*train_time));
      for (const auto& network : {train_time, fused}) {
        const auto plan = compile(network, std::make_shared<WeightCache>(), shape,
                                  {1, stages_and_logits(network->graph), false});
        expect_near_reference(*network, shape, stages_and_logits(network->graph),
                              run(*plan, image(shape)));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Remainders, Widths, ::testing::Values(1, 3, 15, 16, 17, 48, 97));

TEST(Engine, PlansOfOneNetworkShareTheirPackedWeights) {
  const auto network = seeded(small_config(16, 32, 1));
  const auto cache = std::make_shared<WeightCache>();
  const CompileOptions options{1, {network->graph.output}, false};
  const auto first = compile(network, cache, {1, 3, 64, 64}, options);
  const std::size_t bytes = first->memory().packed_weights;
  const auto second = compile(network, cache, {1, 3, 96, 96}, options);
  EXPECT_GT(bytes, 0u);
  EXPECT_EQ(second->memory().packed_weights, bytes);
}

TEST(Engine, SimultaneousRunsGiveTheSameBits) {
  const auto network = seeded(small_config(16, 32, 2));
  const Shape shape{1, 3, 48, 48};
  const auto plan =
      compile(network, std::make_shared<WeightCache>(), shape, {2, {network->graph.output}, false});
  const std::vector<float> pixels = image(shape);
  const auto expected = run(*plan, pixels);
  std::atomic<int> different{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) different += run(*plan, pixels) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different.load(), 0);
}

TEST(Engine, RefusesWhatDoesNotFit) {
  const auto network = seeded(small_config(16, 32, 1));
  const auto cache = std::make_shared<WeightCache>();
  EXPECT_THROW(compile(network, cache, {1, 4, 32, 32}, {1, {network->graph.output}, false}), Error);
  EXPECT_THROW(compile(network, cache, {1, 3, 32, 32}, {0, {network->graph.output}, false}), Error);
}

TEST(Engine, ProfileTimesEveryStepWithinTheWallTime) {
  const auto network = seeded(small_config(16, 32, 1));
  const Shape shape{1, 3, 32, 32};
  const auto plan =
      compile(network, std::make_shared<WeightCache>(), shape, {1, {network->graph.output}, false});
  std::vector<float> logits(7);
  float* pointers[] = {logits.data()};
  const PlanProfile profile = plan->profile(image(shape).data(), pointers, 3);
  ASSERT_EQ(profile.wall_ns.size(), 3u);
  for (std::size_t run = 0; run < 3; ++run) {
    ASSERT_EQ(profile.step_ns[run].size(), plan->steps().size());
    std::int64_t sum = 0;
    for (std::int64_t ns : profile.step_ns[run]) sum += ns;
    EXPECT_LE(sum, profile.wall_ns[run]);
  }
}

}  // namespace
}  // namespace mobileone
