// Simultaneous use of the fused path: what ThreadSanitizer watches (preset tsan). Every step is the
// engine's own; oneDNN's run on libgomp, whose barriers ThreadSanitizer cannot see.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine_testing.hpp"
#include "mobileone/models/mobilevit.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

constexpr int kCallers = 4;

std::shared_ptr<const Network> network_with_squeeze() {
  MobileOneConfig config = small_config(32, 64, 1);
  add_squeeze_excitation(config, {1, 2});
  return std::make_shared<const Network>(reparameterize(*seeded(config)));
}

// Two MobileViT blocks, one of whose maps is resized at odd sizes, and a residual block.
std::shared_ptr<const Network> mobilevit() {
  MobileViTConfig config;
  config.widths = {16, 24, 32};
  config.depths = {1, 2, 1};
  config.transformer_widths = {0, 24, 36};
  config.ffn_widths = {0, 48, 40};
  config.transformer_depths = {0, 1, 2};
  config.head_width = 48;
  config.num_classes = 7;
  const Graph graph = mobilevit_graph(config);
  return std::make_shared<const Network>(reparameterize({graph, initialize(graph, 3)}));
}

std::shared_ptr<const Plan> fused_plan(const std::shared_ptr<const Network>& network,
                                       const std::shared_ptr<WeightCache>& cache,
                                       const Shape& shape, int threads) {
  auto plan = compile(network, cache, shape, {threads, {network->graph.output}, false});
  for (const StepInfo& step : plan->steps()) {
    EXPECT_EQ(step.implementation.rfind("fused", 0), 0u)
        << step.name << ": " << step.implementation;
  }
  return plan;
}

template <typename Work>
void in_callers(const Work& work) {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller)
    callers.emplace_back([&work, caller] { work(caller); });
  for (std::thread& caller : callers) caller.join();
}

void expect_the_same_bits_in_all_callers(const std::shared_ptr<const Network>& network,
                                         int threads) {
  for (const Shape& shape : {Shape{1, 3, 64, 64}, Shape{3, 3, 40, 57}}) {
    const auto plan = fused_plan(network, std::make_shared<WeightCache>(), shape, threads);
    const std::vector<float> pixels = image(shape);
    const auto expected = run(*plan, pixels);
    std::atomic<int> different{0};
    in_callers([&](int) {
      int mine = 0;  // an atomic in the loop would order the runs, and hide their races
      for (int i = 0; i < 10; ++i) mine += run(*plan, pixels) != expected;
      different += mine;
    });
    EXPECT_EQ(different.load(), 0) << to_string(shape);
  }
}

class FusedThreads : public ::testing::TestWithParam<int> {};

TEST_P(FusedThreads, SimultaneousRunsOfOnePlanGiveTheSameBits) {
  expect_the_same_bits_in_all_callers(network_with_squeeze(), GetParam());
}

TEST_P(FusedThreads, SimultaneousRunsOfMobileViTGiveTheSameBits) {
  expect_the_same_bits_in_all_callers(mobilevit(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Threads, FusedThreads, ::testing::Values(1, 2, 3));

// Callers compile plans of their own on shared weights, for other sizes and thread counts, and run
// them while the others still compile.
void expect_plans_of_all_callers_to_run(const std::shared_ptr<const Network>& network) {
  const auto cache = std::make_shared<WeightCache>();
  in_callers([&](int caller) {
    const Shape shape{1 + caller % 2, 3, 48 + 16 * (caller / 2), 48};
    for (int threads : {1, 2, 3}) {
      const auto plan = fused_plan(network, cache, shape, threads);
      const auto expected = run(*plan, image(shape));
      for (int i = 0; i < 3; ++i) EXPECT_EQ(run(*plan, image(shape)), expected);
      EXPECT_GT(plan->memory().packed_weights, 0u);
    }
  });
}

TEST(FusedThreads, PlansAreMadeAndRunWhileOthersRun) {
  expect_plans_of_all_callers_to_run(network_with_squeeze());
}

TEST(FusedThreads, PlansOfMobileViTAreMadeAndRunWhileOthersRun) {
  expect_plans_of_all_callers_to_run(mobilevit());
}

}  // namespace
}  // namespace mobileone
