// Fused convolutions and inverted residual blocks: what the backend takes, and that it gives the
// reference's results.
#include <gtest/gtest.h>

#include "engine_testing.hpp"
#include "exact_networks.hpp"
#include "mobileone/models/mobilevit.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

MobileViTConfig small_mobilevit() {
  MobileViTConfig config;
  config.num_classes = 7;
  config.widths = {16, 24, 32};
  config.depths = {1, 2, 1};
  config.transformer_widths = {0, 0, 24};
  config.ffn_widths = {0, 0, 40};
  config.transformer_depths = {0, 0, 1};
  config.head_width = 72;
  config.heads = 2;
  return config;
}

std::shared_ptr<const Network> seeded_inference(const Graph& graph) {
  return std::make_shared<const Network>(reparameterize(Network{graph, initialize(graph, 3)}));
}

std::shared_ptr<const Plan> compile_for(const std::shared_ptr<const Network>& network,
                                        const Shape& shape, std::vector<NodeId> outputs,
                                        int threads, Algorithm algorithm) {
  CompileOptions options;
  options.threads = threads;
  options.outputs = std::move(outputs);
  options.algorithm = algorithm;
  return compile(network, std::make_shared<WeightCache>(), shape, options);
}

// Steps whose kind begins with "Conv2d" or "Concat", and how many of them are fused.
std::pair<int, int> convolutions(const Plan& plan) {
  std::pair<int, int> counts{0, 0};
  for (const StepInfo& step : plan.steps()) {
    if (step.kind.rfind("Conv2d", 0) != 0 && step.kind.rfind("Concat", 0) != 0) continue;
    ++counts.first;
    counts.second += step.implementation.rfind("fused", 0) == 0;
  }
  return counts;
}

// Wide maps and narrow ones have their weights packed in different orders.
TEST(FusedConvolutions, PlansOfSeveralSizesShareTheWeightsThatTheyCan) {
  const auto network = seeded_inference(mobilevit_graph(small_mobilevit()));
  const auto weights = std::make_shared<WeightCache>();
  std::vector<std::shared_ptr<const Plan>> plans;
  for (std::int64_t size : {64, 256, 40, 272}) {
    const Shape shape{1, 3, size, size};
    CompileOptions options;
    options.outputs = {network->graph.output};
    plans.push_back(compile(network, weights, shape, options));
    expect_near_reference(*network, shape, options.outputs, run(*plans.back(), image(shape)));
  }
}

class FusedMobileViT : public ::testing::TestWithParam<Shape> {};

TEST_P(FusedMobileViT, EveryAlgorithmAndThreadCountMatchesTheReference) {
  const auto network = seeded_inference(mobilevit_graph(small_mobilevit()));
  for (Algorithm algorithm : {Algorithm::automatic, Algorithm::strassen}) {
    for (int threads : {1, 2, 4}) {
      const auto plan =
          compile_for(network, GetParam(), {network->graph.output}, threads, algorithm);
      const auto found = run(*plan, image(GetParam()));
      expect_near_reference(*network, GetParam(), {network->graph.output}, found);
      EXPECT_EQ(run(*plan, image(GetParam())), found);
    }
  }
}

TEST_P(FusedMobileViT, FeatureMapsMatchTheReference) {
  const auto network = seeded_inference(mobilevit_graph(small_mobilevit()));
  const auto outputs = stages_and_logits(network->graph);
  const auto plan = compile_for(network, GetParam(), outputs, 2, Algorithm::automatic);
  expect_near_reference(*network, GetParam(), outputs, run(*plan, image(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Sizes, FusedMobileViT,
                         ::testing::Values(Shape{1, 3, 64, 64}, Shape{3, 3, 48, 80},
                                           Shape{1, 3, 57, 71}));

TEST(FusedConvolutions, TakeEveryConvolutionOfMobileViT) {
  for (const auto& [name, config] : mobilevit_variants()) {
    const auto network = seeded_inference(mobilevit_graph(config));
    const auto plan =
        compile_for(network, {1, 3, 64, 64}, {network->graph.output}, 1, Algorithm::automatic);
    const auto [all, fused] = convolutions(*plan);
    EXPECT_EQ(fused, all) << name;
    EXPECT_GE(all, 12) << name;  // stem, seven blocks, three fusions, the expansion
  }
}

// A stem with SiLU makes a map; then `add` has its say.
struct Net {
  Graph graph;
  NodeId last;

  Net() {
    last = graph.add("input", Input{3}, {});
    last = silu("stem", testing::conv(3, 16, 3, 2));
  }
  NodeId conv(const std::string& name, Conv2d op, NodeId from = -1) {
    return graph.add(name, op, {from < 0 ? last : from});
  }
  NodeId silu(const std::string& name, Conv2d op) {
    return graph.add(name + ".act", Activation{ActivationKind::silu}, {conv(name, op)});
  }
  std::shared_ptr<const Plan> check(int steps, const Shape& shape = {2, 3, 19, 22}) {
    graph.output = last;
    const auto network = std::make_shared<const Network>(Network{graph, initialize(graph, 3)});
    const auto plan = compile_for(network, shape, {last}, 2, Algorithm::automatic);
    expect_near_reference(*network, shape, {last}, run(*plan, image(shape)));
    EXPECT_EQ(convolutions(*plan).second, steps);
    return plan;
  }
};

Conv2d dense(std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias = true) {
  Conv2d op = testing::conv(in, out, kernel);
  op.bias = bias;
  return op;
}

Conv2d depthwise(std::int64_t channels, std::int64_t stride) {
  Conv2d op = testing::conv(channels, channels, 3, stride);
  op.groups = channels;
  return op;
}

TEST(FusedConvolutions, WithoutBiasAndWithResidualAndActivationAfterIt) {
  Net net;
  const NodeId stem = net.last;
  net.last = net.conv("plain", dense(16, 24, 1, false));
  net.last = net.conv("back", dense(24, 16, 3));
  net.last = net.graph.add("sum", Add{}, {stem, net.last});
  net.last = net.graph.add("sum.act", Activation{ActivationKind::relu}, {net.last});
  net.check(3);
}

TEST(FusedConvolutions, ConcatenationOfTwoMapsIsNeverMade) {
  Net net;
  const NodeId stem = net.last;
  net.last = net.silu("side", dense(16, 20, 1));
  net.last = net.graph.add("concat", Concat{}, {net.last, stem});
  net.last = net.silu("fusion", dense(36, 16, 3));
  const auto plan = net.check(3);
  EXPECT_EQ(plan->steps()[2].kind, "Concat > Conv2d+silu");
}

TEST(FusedConvolutions, OtherActivationsAndStridesAreLeftToOthers) {
  Net net;
  net.last = net.graph.add("mish", Activation{ActivationKind::mish},
                           {net.conv("first", dense(16, 16, 3))});
  net.last = net.conv("second", testing::conv(16, 16, 3, 3));
  net.check(1);
}

TEST(FusedConvolutions, AnExpansionThatSomebodyElseReadsIsNoPartOfTheBlock) {
  Net net;
  const NodeId hidden = net.silu("expand", dense(16, 32, 1));
  net.last = hidden;
  net.last = net.silu("depthwise", depthwise(32, 1));
  net.last = net.conv("project", dense(32, 32, 1));
  net.last = net.graph.add("sum", Add{}, {net.last, hidden});
  const auto plan = net.check(3);
  EXPECT_EQ(plan->steps()[2].kind, "Conv2d+silu > Conv2d > Add");
}

TEST(FusedConvolutions, BlocksWithAndWithoutResidual) {
  Net net;
  for (int block = 0; block < 3; ++block) {
    const std::string name = concat("block", block);
    const NodeId source = net.last;
    const std::int64_t in = block == 2 ? 40 : 16, out = block == 0 ? 16 : 40;
    net.last = net.silu(name + ".expand", dense(in, 56, 1));
    net.last = net.silu(name + ".depthwise", depthwise(56, block == 1 ? 2 : 1));
    net.last = net.conv(name + ".project", dense(56, out, 1, block != 2));
    if (block != 1) net.last = net.graph.add(name + ".sum", Add{}, {source, net.last});
  }
  const auto plan = net.check(4);
  EXPECT_EQ(plan->steps()[3].kind, "Conv2d+silu > Conv2d+silu > Conv2d > Add");
}

}  // namespace
}  // namespace mobileone
