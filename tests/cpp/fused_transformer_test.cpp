// Fused transformers: which graphs the backend takes as one, and that either way the results are
// the reference's.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

// The global half of a MobileViT block, and what tests change of it.
struct BlockOptions {
  std::int64_t channels = 8, features = 12, hidden = 20, heads = 3, depth = 2;
  Extent patch{2, 2};
  bool biases = true;
  bool sum_input_first = true;
  std::int64_t last_heads = 0;  // of the last transformer, if they differ
  std::int64_t last_hidden = 0;
  double last_eps = 1e-5;     // of the last norm
  Extent unfold_patch{0, 0};  // if it differs from what is resized to
  ActivationKind ffn = ActivationKind::silu;
  std::optional<ActivationKind> leave = ActivationKind::silu;
};

Graph block_graph(const BlockOptions& options) {
  const std::int64_t d = options.features;
  Graph graph;
  const auto pointwise = [&](std::int64_t in, std::int64_t out) {
    Conv2d conv;
    conv.in_channels = in;
    conv.out_channels = out;
    conv.bias = options.biases;
    return conv;
  };
  const auto sum = [&](const std::string& name, NodeId x, NodeId change) {
    return graph.add(name, Add{},
                     options.sum_input_first ? std::vector{x, change} : std::vector{change, x});
  };
  const NodeId input = graph.add("input", Input{options.channels}, {});
  const NodeId local = graph.add("enter", pointwise(options.channels, d), {input});
  const NodeId map = graph.add("resize", Resize{options.patch}, {local});
  const Extent patch = options.unfold_patch[0] > 0 ? options.unfold_patch : options.patch;
  NodeId x = graph.add("unfold", Unfold{patch}, {map});
  for (std::int64_t i = 0; i < options.depth; ++i) {
    const std::string name = concat("layer", i, ".");
    const bool last = i + 1 == options.depth;
    const std::int64_t heads = last && options.last_heads ? options.last_heads : options.heads;
    const std::int64_t hidden = last && options.last_hidden ? options.last_hidden : options.hidden;
    const auto linear = [&](const char* which, std::int64_t in, std::int64_t out, NodeId from) {
      return graph.add(name + which, Linear{in, out, options.biases}, {from});
    };
    NodeId change = graph.add(name + "norm1", LayerNorm{d}, {x});
    change = linear("qkv", d, 3 * d, change);
    change = graph.add(name + "attention", Attention{heads}, {change});
    x = sum(name + "sum1", x, linear("proj", d, d, change));
    change = graph.add(name + "norm2", LayerNorm{d}, {x});
    change = linear("fc1", d, hidden, change);
    change = graph.add(name + "act", Activation{options.ffn}, {change});
    x = sum(name + "sum2", x, linear("fc2", hidden, d, change));
  }
  x = graph.add("norm", LayerNorm{d, options.last_eps}, {x});
  x = graph.add("fold", Fold{patch}, {x, map});
  x = graph.add("resize_back", Resize{}, {x, local});
  x = graph.add("leave", pointwise(d, options.channels), {x});
  if (options.leave) x = graph.add("leave.act", Activation{*options.leave}, {x});
  graph.output = x;
  return graph;
}

// Weights of the variance 1 / (inputs), so that signals keep their scale; norms' around 1.
Weights block_weights(const Graph& graph) {
  std::mt19937 random(5);
  Weights weights;
  for (const Parameter& parameter : parameters(graph)) {
    std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
    const bool vector = parameter.shape.size() == 1;
    const bool gain = vector && parameter.name.find("norm") != std::string::npos &&
                      parameter.name.find(".weight") != std::string::npos;
    const double width = vector ? 0.3 : std::sqrt(3.0 / static_cast<double>(parameter.shape[1]));
    for (double& value : values) {
      value = (static_cast<double>(random()) / 2147483648.0 - 1.0) * width + (gain ? 1.0 : 0.0);
    }
    weights.emplace(parameter.name, Tensor::from_doubles(parameter.shape, values));
  }
  return weights;
}

std::shared_ptr<const Plan> check(const Graph& graph, std::vector<NodeId> outputs,
                                  const Shape& shape, int threads) {
  const auto network = std::make_shared<const Network>(Network{graph, block_weights(graph)});
  CompileOptions options;
  options.threads = threads;
  options.outputs = outputs;
  const auto plan = compile(network, std::make_shared<WeightCache>(), shape, options);
  const auto found = run(*plan, image(shape));
  expect_near_reference(*network, shape, outputs, found);
  EXPECT_EQ(run(*plan, image(shape)), found);
  return plan;
}

// How many steps are passes of the fused transformer.
int passes(const Plan& plan) {
  int count = 0;
  for (const StepInfo& step : plan.steps()) {
    for (const char* what : {" tokens", " attention", " resize"}) {
      const bool fused = step.implementation.rfind("fused", 0) == 0;
      count += fused && step.implementation.find(what) != std::string::npos;
    }
  }
  return count;
}

std::shared_ptr<const Plan> check(const BlockOptions& options, const Shape& shape,
                                  int threads = 1) {
  const Graph graph = block_graph(options);
  return check(graph, {graph.output}, shape, threads);
}

TEST(FusedTransformer, TakesTheBlockInAllSizesAndPatches) {
  for (const Extent& patch : {Extent{2, 2}, Extent{1, 1}, Extent{3, 2}, Extent{4, 4}}) {
    for (const Shape& size : {Shape{1, 8, 8, 8}, Shape{3, 8, 12, 24}, Shape{2, 8, 7, 9}}) {
      BlockOptions options;
      options.patch = patch;
      const auto plan = check(options, size);
      const bool resized = size[2] % patch[0] != 0 || size[3] % patch[1] != 0;
      EXPECT_EQ(passes(*plan), 5 + resized) << patch[0] << "x" << patch[1] << to_string(size);
    }
  }
}

TEST(FusedTransformer, AnyNumberOfThreadsGivesTheSameBits) {
  const Graph graph = block_graph({});
  const auto network = std::make_shared<const Network>(Network{graph, block_weights(graph)});
  for (const Shape& shape : {Shape{1, 8, 16, 16}, Shape{3, 8, 10, 13}, Shape{1, 8, 2, 2}}) {
    CompileOptions options;
    options.outputs = {graph.output};
    const auto cache = std::make_shared<WeightCache>();
    const auto expected = run(*compile(network, cache, shape, options), image(shape));
    for (int threads : {2, 3, 4}) {
      options.threads = threads;
      EXPECT_EQ(run(*compile(network, cache, shape, options), image(shape)), expected) << threads;
    }
  }
}

TEST(FusedTransformer, StepsNameTheirOperators) {
  const auto plan = check(BlockOptions{}, {1, 8, 8, 8});
  std::vector<std::string> kinds;
  std::int64_t macs = 0;
  for (const StepInfo& step : plan->steps()) {
    macs += step.macs;
    if (step.kind != "Reorder") kinds.push_back(step.kind);
  }
  const std::string layer = "Linear > Add > LayerNorm > Linear+silu > Linear > Add > LayerNorm > ";
  EXPECT_EQ(kinds, (std::vector<std::string>{"Conv2d > Resize > Unfold > LayerNorm > Linear",
                                             "Attention", layer + "Linear", "Attention",
                                             layer + "Fold > Resize > Conv2d+silu"}));
  const Graph graph = block_graph({});
  const auto shapes = infer_shapes(graph, {1, 8, 8, 8});
  for (std::size_t i = 0; i < shapes.size(); ++i)
    macs -= count_macs(graph.nodes()[i].op, shapes[i]);
  EXPECT_EQ(macs, 0);
}

TEST(FusedTransformer, TakesBlocksWithoutBiasesAndSumsInEitherOrder) {
  BlockOptions options;
  options.biases = false;
  EXPECT_EQ(passes(*check(options, {1, 8, 6, 6})), 5);
  options.biases = true;
  options.sum_input_first = false;
  EXPECT_EQ(passes(*check(options, {1, 8, 6, 6})), 5);
}

TEST(FusedTransformer, LeavesOtherBlocksToOtherSteps) {
  const std::vector<std::function<void(BlockOptions&)>> changes{
      [](BlockOptions& o) { o.last_heads = 4; },
      [](BlockOptions& o) { o.last_hidden = 16; },
      [](BlockOptions& o) { o.last_eps = 1e-3; },
      [](BlockOptions& o) { o.unfold_patch = {1, 1}; },
      [](BlockOptions& o) { o.ffn = ActivationKind::gelu; },
      [](BlockOptions& o) { o.leave = ActivationKind::relu; },
      [](BlockOptions& o) { o.leave.reset(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    BlockOptions options;
    changes[i](options);
    EXPECT_EQ(passes(*check(options, {2, 8, 6, 9})), 0);
  }
}

// Whoever wants a value from inside the block, or reads one, gets it.
TEST(FusedTransformer, LeavesBlocksWhoseInsideIsRead) {
  const Shape shape{1, 8, 6, 6};
  for (const char* inside : {"enter", "layer0.sum1", "layer1.fc2", "fold"}) {
    const Graph graph = block_graph({});
    const auto plan = check(graph, {graph.find(inside), graph.output}, shape, 1);
    EXPECT_EQ(passes(*plan), 0) << inside;
  }
  Graph graph = block_graph({});
  const NodeId pooled = graph.add("pool", GlobalAvgPool{}, {graph.find("fold")});
  EXPECT_EQ(passes(*check(graph, {graph.output, pooled}, shape, 1)), 0);
}

// The result may be an output itself, and several sizes share their packed weights.
TEST(FusedTransformer, SizesShareWeights) {
  const Graph graph = block_graph({});
  const auto network = std::make_shared<const Network>(Network{graph, block_weights(graph)});
  const auto cache = std::make_shared<WeightCache>();
  CompileOptions options;
  options.outputs = {graph.output};
  const auto small = compile(network, cache, {1, 8, 6, 6}, options);
  const std::size_t bytes = cache->bytes();
  EXPECT_GT(bytes, 0u);
  const auto large = compile(network, cache, {2, 8, 30, 21}, options);
  EXPECT_EQ(cache->bytes(), bytes);
  expect_near_reference(*network, {2, 8, 30, 21}, {graph.output},
                        run(*large, image({2, 8, 30, 21})));
}

}  // namespace
}  // namespace mobileone
