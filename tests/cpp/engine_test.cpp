// The compiled engine against the float64 reference, over channel counts and sizes that leave
// remainders in every packing. Tolerances are the derived deviations of fp32 rounding errors.
#include "mobileone/engine.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "mobileone/base/error.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/models/mobileone.hpp"
#include "mobileone/reference/deviation.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {
namespace {

// Twelve standard deviations: a normal error exceeds them once in 10^32.
constexpr double kDeviations = 12.0;

MobileOneConfig small_config(std::int64_t stem, std::int64_t width, std::int64_t branches) {
  MobileOneConfig config;
  config.stem_width = stem;
  config.widths = {width, 2 * width};
  config.depths = {2, 2};
  config.num_conv_branches = branches;
  config.num_classes = 7;
  add_squeeze_excitation(config, {0, 1});
  return config;
}

std::shared_ptr<const Network> seeded(const MobileOneConfig& config) {
  const Graph graph = mobileone_graph(config);
  return std::make_shared<const Network>(Network{graph, initialize(graph, 3)});
}

std::vector<float> image(const Shape& shape) {
  std::vector<float> pixels(static_cast<std::size_t>(element_count(shape)));
  std::uint32_t state = 1;
  for (float& pixel : pixels) {
    state = state * 1664525u + 1013904223u;
    pixel = static_cast<float>(state >> 8) / 8388608.f - 1.f;
  }
  return pixels;
}

std::vector<NodeId> stages_and_logits(const Graph& graph) {
  std::vector<NodeId> outputs = graph.features;
  outputs.push_back(graph.output);
  return outputs;
}

std::vector<std::vector<float>> run(const Plan& plan, const std::vector<float>& input) {
  std::vector<std::vector<float>> outputs;
  std::vector<float*> pointers;
  for (const Shape& shape : plan.output_shapes()) {
    outputs.emplace_back(static_cast<std::size_t>(element_count(shape)));
  }
  for (auto& output : outputs) pointers.push_back(output.data());
  plan.run(input.data(), pointers.data());
  return outputs;
}

void expect_near_reference(const Network& network, const Shape& shape,
                           const std::vector<std::vector<float>>& found) {
  const std::vector<float> pixels = image(shape);
  const ReferenceTensor input{shape, {pixels.begin(), pixels.end()}};
  const std::vector<NodeId> outputs = stages_and_logits(network.graph);
  const auto expected = reference_forward(network, input, outputs);
  const auto deviation = error_deviation(network, input, outputs, 4, 1);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    double worst = 0.0;
    ASSERT_EQ(found[i].size(), expected[i].values.size());
    for (std::size_t k = 0; k < found[i].size(); ++k) {
      worst = std::max(worst, std::abs(static_cast<double>(found[i][k]) - expected[i].values[k]));
    }
    EXPECT_LE(worst, kDeviations * deviation.outputs[i].local_max)
        << network.graph.node(outputs[i]).name << " of " << to_string(shape);
  }
}

class Widths : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(Widths, BothFormsMatchTheReference) {
  for (const Shape& shape : {Shape{1, 3, 32, 32}, Shape{2, 3, 37, 45}, Shape{5, 3, 33, 64}}) {
    for (std::int64_t branches : {1, 3}) {
      const auto train_time = seeded(small_config(GetParam(), GetParam() + 1, branches));
      const auto fused = std::make_shared<const Network>(reparameterize(*train_time));
      for (const auto& network : {train_time, fused}) {
        const auto plan = compile(network, std::make_shared<WeightCache>(), shape,
                                  {1, stages_and_logits(network->graph), false});
        expect_near_reference(*network, shape, run(*plan, image(shape)));
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
