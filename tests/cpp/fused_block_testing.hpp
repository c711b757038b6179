// Graphs of one or more blocks, [1x1 expansion ->] depthwise -> [squeeze-and-excitation ->] 1x1
// projection [+ input], and which steps run them.
#pragma once

#include "engine_testing.hpp"
#include "exact_networks.hpp"

namespace mobileone::testing_blocks {

using namespace testing_engine;

using MaybeActivation = std::optional<ActivationKind>;

struct SqueezeOptions {
  std::int64_t reduced = 6;
  MaybeActivation activation = ActivationKind::relu;
  MaybeActivation gate = ActivationKind::sigmoid;
};

struct BlockOptions {
  std::int64_t in = 16, expanded = 0, out = 16;  // expanded = 0: no expansion
  std::int64_t kernel = 3, stride = 1, dilation = 1;
  MaybeActivation expand = {}, depthwise = {}, last = {};
  std::optional<SqueezeOptions> excite = {};
  bool excite_first = false;  // before the depthwise convolution's activation
  bool residual = false, sum_input_first = false;
  bool biases = true;

  std::int64_t hidden() const { return expanded > 0 ? expanded : in; }
};

class Builder {
 public:
  Graph graph;

  NodeId conv(const std::string& name, Conv2d op, NodeId from) {
    return graph.add(name, op, {from});
  }
  NodeId activation(const std::string& name, MaybeActivation kind, NodeId from) {
    return kind ? graph.add(name + ".act", Activation{*kind}, {from}) : from;
  }
  NodeId squeeze(const std::string& name, const SqueezeOptions& options, std::int64_t channels,
                 NodeId from) {
    const auto dense = [&](const char* which, std::int64_t in, std::int64_t out, NodeId x) {
      return conv(name + which, testing::conv(in, out, 1, 1, 1, true), x);
    };
    NodeId gate = graph.add(name + ".pool", GlobalAvgPool{}, {from});
    gate = activation(name + ".reduce", options.activation,
                      dense(".reduce", channels, options.reduced, gate));
    gate = activation(name + ".expand", options.gate,
                      dense(".expand", options.reduced, channels, gate));
    return graph.add(name + ".scale", Multiply{}, {from, gate});
  }
  NodeId block(const std::string& name, const BlockOptions& options, NodeId source) {
    const std::int64_t hidden = options.hidden();
    NodeId x = source;
    const auto pointwise = [&](std::int64_t in, std::int64_t out) {
      return testing::conv(in, out, 1, 1, 1, options.biases);
    };
    if (options.expanded > 0) {
      x = activation(name + ".expand", options.expand,
                     conv(name + ".expand", pointwise(options.in, hidden), x));
    }
    Conv2d depthwise =
        testing::conv(hidden, hidden, options.kernel, options.stride, hidden, options.biases);
    depthwise.dilation = {options.dilation, options.dilation};
    depthwise.padding = {options.dilation * (options.kernel / 2),
                         options.dilation * (options.kernel / 2)};
    x = conv(name + ".depthwise", depthwise, x);
    if (!options.excite_first) x = activation(name + ".depthwise", options.depthwise, x);
    if (options.excite) x = squeeze(name + ".se", *options.excite, hidden, x);
    if (options.excite_first) x = activation(name + ".depthwise", options.depthwise, x);
    x = conv(name + ".project", pointwise(hidden, options.out), x);
    if (options.residual) {
      x = graph.add(name + ".sum", Add{},
                    options.sum_input_first ? std::vector{source, x} : std::vector{x, source});
    }
    return activation(name + ".project", options.last, x);
  }
  // A map of `channels` at half the input's size.
  NodeId stem(std::int64_t channels) {
    const NodeId input = graph.add("input", Input{3}, {});
    return activation("stem", ActivationKind::silu,
                      conv("stem", testing::conv(3, channels, 3, 2, 1, true), input));
  }
};

inline std::shared_ptr<const Plan> check(const Graph& graph, std::vector<NodeId> outputs,
                                         const Shape& shape, int threads,
                                         Algorithm algorithm = Algorithm::automatic) {
  const auto network = std::make_shared<const Network>(Network{graph, initialize(graph, 3)});
  CompileOptions options;
  options.threads = threads;
  options.outputs = outputs;
  options.algorithm = algorithm;
  const auto plan = compile(network, std::make_shared<WeightCache>(), shape, options);
  const auto found = run(*plan, image(shape));
  expect_near_reference(*network, shape, outputs, found);
  EXPECT_EQ(run(*plan, image(shape)), found);
  return plan;
}

// Steps that execute something of a block, and how many of them are fused.
inline std::pair<int, int> block_steps(const Plan& plan) {
  std::pair<int, int> counts{0, 0};
  for (const StepInfo& step : plan.steps()) {
    if (step.name.find("block") == std::string::npos) continue;
    ++counts.first;
    counts.second += step.implementation.rfind("fused", 0) == 0;
  }
  return counts;
}

inline constexpr std::pair<int, int> kOneFusedStep{1, 1};

}  // namespace mobileone::testing_blocks
