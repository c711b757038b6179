// Quantized networks as fused steps: what the backend takes, and that it gives the reference's
// integers.
#include <gtest/gtest.h>

#include <random>

#include "engine_testing.hpp"

namespace mobileone {
namespace {

using namespace testing_engine;

struct Zeros {
  int image, hidden, result;
};

QuantizedConvolution convolution(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                 std::int64_t stride, int from, int to) {
  QuantizedConvolution op{in, out, {kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}};
  if (kernel > 1 && in == out) op.groups = in;
  op.input_zero_point = from;
  op.output_zero_point = to;
  op.relu = to < 100;
  return op;
}

// Integers and multipliers that leave maps with values all over their range.
Weights random_weights(const Graph& graph) {
  std::mt19937 random(7);
  Weights weights;
  for (const Node& node : graph.nodes()) {
    for (const Parameter& parameter : parameters(node.name, node.op)) {
      const auto* op = std::get_if<QuantizedConvolution>(&node.op);
      const double size = op ? 128.0 * 75.0 * std::sqrt(double(op->terms())) : 1.0;
      std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
      for (double& value : values) {
        const double unit = static_cast<double>(random()) / 2147483648.0 - 1.0;
        value = !op                                         ? unit
                : !parameter.integers                       ? 200.0 / size * (1.0 + unit / 2.0)
                : parameter.largest == double(kLargestBias) ? std::round(size / 4.0 * unit)
                                                            : std::round(127.0 * unit);
      }
      weights.emplace(parameter.name, Tensor::from_doubles(parameter.shape, values));
    }
  }
  return weights;
}

// Stem, blocks of stride 1 and 2, pool and classifier; `wanted`: all maps of integers.
std::shared_ptr<const Network> small_network(const Zeros& zeros, std::vector<NodeId>& wanted) {
  Graph graph;
  const NodeId image = graph.add("image", Input{3}, {});
  NodeId last = graph.add("quantize", Quantize{0.008, zeros.image}, {image});
  const auto add = [&](const std::string& name, const QuantizedConvolution& op) {
    last = graph.add(name, op, {last});
  };
  add("stem", convolution(3, 24, 3, 2, zeros.image, zeros.result));
  wanted.push_back(last);
  std::int64_t channels = 24;
  for (const auto& [width, stride] : {std::pair<int, int>{40, 2}, {40, 2}, {64, 1}}) {
    const std::string name = concat("block", wanted.size());
    const int kernel = wanted.size() == 1 ? 3 : 5;
    add(name + ".depthwise",
        convolution(channels, channels, kernel, stride, zeros.result, zeros.hidden));
    add(name + ".pointwise", convolution(channels, width, 1, 1, zeros.hidden, zeros.result));
    wanted.push_back(last);
    channels = width;
  }
  last = graph.add("numbers", Dequantize{0.05, zeros.result}, {last});
  last = graph.add("pool", GlobalAvgPool{}, {last});
  graph.output = graph.add("linear", Linear{channels, 5, true}, {last});
  return std::make_shared<const Network>(Network{graph, random_weights(graph)});
}

std::shared_ptr<const Plan> compiled(const std::shared_ptr<const Network>& network,
                                     const Shape& shape, std::vector<NodeId> outputs, int threads) {
  CompileOptions options;
  options.threads = threads;
  options.outputs = std::move(outputs);
  return compile(network, std::make_shared<WeightCache>(), shape, options);
}

std::size_t count_int8(const Plan& plan) {
  std::size_t count = 0;
  for (const StepInfo& step : plan.steps()) {
    count += step.implementation.find("int8") != std::string::npos;
  }
  return count;
}

// Maps of integers are the reference's, bit for bit, run after run (whose borders may be kept).
TEST(FusedQuantized, NetworksOfAnySizeAndZeroPoint) {
  for (const Zeros& zeros : {Zeros{0, 0, 0}, {128, 100, 7}, {255, 255, 255}}) {
    std::vector<NodeId> wanted;
    const auto network = small_network(zeros, wanted);
    check_weights(*network);
    for (const Shape& shape : {Shape{1, 3, 64, 48}, {2, 3, 37, 61}, {3, 3, 9, 1}}) {
      const std::vector<float> pixels = image(shape);
      const auto expected = reference_forward(
          *network, ReferenceTensor{shape, {pixels.begin(), pixels.end()}}, wanted);
      // Maps in use half the range at least.
      const auto [least, most] =
          std::minmax_element(expected[1].values.begin(), expected[1].values.end());
      EXPECT_GT(*most - *least, 128.0) << zeros.hidden;
      for (int threads : {1, 3}) {
        SCOPED_TRACE(concat(to_string(shape), ", ", threads, " threads, zero point ", zeros.image));
        const auto plan = compiled(network, shape, wanted, threads);
        EXPECT_EQ(count_int8(*plan), 4u);
        for (int pass = 0; pass < 2; ++pass) {
          const auto found = run(*plan, pixels);
          for (std::size_t i = 0; i < wanted.size(); ++i) {
            const std::vector<double> values(found[i].begin(), found[i].end());
            EXPECT_EQ(values, expected[i].values) << "map " << i << ", pass " << pass;
          }
        }
        const auto whole = compiled(network, shape, {network->graph.output}, threads);
        EXPECT_EQ(count_int8(*whole), 5u);
        EXPECT_EQ(whole->steps().size(), 6u);
        for (int pass = 0; pass < 2; ++pass) {
          expect_near_reference(*network, shape, {network->graph.output}, run(*whole, pixels));
        }
      }
    }
  }
}

// Squeeze-and-excitation in float32 between the two convolutions of a block and after them: all in
// fused steps. Gates are within float32's rounding, so that an integer may be the next one, rarely.
TEST(FusedQuantized, SqueezeAndExcitation) {
  Graph graph;
  const NodeId input = graph.add("image", Input{3}, {});
  NodeId last = graph.add("quantize", Quantize{0.008, 128}, {input});
  last = graph.add("stem", convolution(3, 24, 3, 2, 128, 3), {last});
  const auto excite = [&](const std::string& name, double scale, int from, int to) {
    const NodeId numbers = graph.add(name + ".numbers", Dequantize{scale, from}, {last});
    NodeId gate = graph.add(name + ".pool", GlobalAvgPool{}, {numbers});
    gate =
        graph.add(name + ".reduce", Conv2d{24, 6, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, {gate});
    gate = graph.add(name + ".relu", Activation{ActivationKind::relu}, {gate});
    gate =
        graph.add(name + ".expand", Conv2d{6, 24, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, {gate});
    gate = graph.add(name + ".sigmoid", Activation{ActivationKind::sigmoid}, {gate});
    last = graph.add(name + ".multiply", Multiply{}, {numbers, gate});
    last = graph.add(name + ".activation", Activation{ActivationKind::relu}, {last});
    last = graph.add(name + ".bytes", Quantize{scale / 3.0, to}, {last});
  };
  std::vector<NodeId> wanted;
  for (const std::string& name : {std::string("one"), std::string("two")}) {
    const int from = name == "one" ? 3 : 0;
    last = graph.add(name + ".depthwise", convolution(24, 24, 3, 1, from, 120), {last});
    excite(name + ".first", 0.03, 120, 2);
    last = graph.add(name + ".pointwise", convolution(24, 24, 1, 1, 2, 110), {last});
    excite(name + ".second", 0.02, 110, 0);
    wanted.push_back(last);
  }
  graph.output = last;
  const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
  const Shape shape{2, 3, 41, 56};
  const std::vector<float> pixels = image(shape);
  for (int threads : {1, 3}) {
    const auto plan = compiled(network, shape, {wanted[0]}, threads);
    EXPECT_EQ(count_int8(*plan), 5u);
    const auto expected = reference_forward(
        *network, ReferenceTensor{shape, {pixels.begin(), pixels.end()}}, {wanted[0]});
    const auto found = run(*plan, pixels);
    std::size_t moved = 0;
    double worst = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < found[0].size(); ++i) {
      const double error = std::abs(static_cast<double>(found[0][i]) - expected[0].values[i]);
      worst = std::max(worst, error);
      largest = std::max(largest, expected[0].values[i]);
      moved += error != 0.0;
    }
    EXPECT_GT(largest, 100.0);
    EXPECT_LE(moved, found[0].size() / 100);
    EXPECT_LE(worst, 2.0);
    EXPECT_EQ(count_int8(*compiled(network, shape, {graph.output}, threads)), 9u);
  }
}

// A SiLU between integers is a table; a map that is read as numbers, too, and a sum, go through
// float32 maps; all in fused steps. Scales are such that no sum lies half way between integers, but
// for float32's rounding, which moves an integer rarely.
TEST(FusedQuantized, SeamsToNumbers) {
  Graph graph;
  const NodeId input = graph.add("image", Input{3}, {});
  NodeId last = graph.add("quantize", Quantize{0.008, 128}, {input});
  const NodeId stem = graph.add("stem", convolution(3, 24, 3, 2, 128, 100), {last});
  const NodeId own = graph.add("own", Dequantize{0.04171, 100}, {stem});
  last = graph.add("depthwise", convolution(24, 24, 3, 1, 100, 120), {stem});
  last = graph.add("depthwise.numbers", Dequantize{0.03019, 120}, {last});
  last = graph.add("silu", Activation{ActivationKind::silu}, {last});
  last = graph.add("silu.bytes", Quantize{0.01217, 23}, {last});
  last = graph.add("pointwise", convolution(24, 24, 1, 1, 23, 110), {last});
  last = graph.add("pointwise.numbers", Dequantize{0.05313, 110}, {last});
  last = graph.add("sum", Add{}, {last, own});
  last = graph.add("sum.bytes", Quantize{0.06173, 97}, {last});
  graph.output = graph.add("after", convolution(24, 40, 1, 1, 97, 0), {last});
  const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
  for (const Shape& shape : {Shape{1, 3, 64, 48}, {2, 3, 37, 61}}) {
    const std::vector<float> pixels = image(shape);
    const auto expected = reference_forward(
        *network, ReferenceTensor{shape, {pixels.begin(), pixels.end()}}, {graph.output});
    for (int threads : {1, 3}) {
      const auto plan = compiled(network, shape, {graph.output}, threads);
      EXPECT_EQ(plan->not_storable(), "");
      EXPECT_EQ(count_int8(*plan), 4u);
      EXPECT_EQ(plan->steps().size(), 4u + 5u + 1u);  // seams and the sum; the result as numbers
      for (int pass = 0; pass < 2; ++pass) {
        const auto found = run(*plan, pixels);
        std::size_t moved = 0;
        for (std::size_t i = 0; i < found[0].size(); ++i) {
          const double error = std::abs(static_cast<double>(found[0][i]) - expected[0].values[i]);
          EXPECT_LE(error, 1.0);
          moved += error != 0.0;
        }
        EXPECT_LE(moved, found[0].size() / 1000);
      }
    }
  }
}

// From a map of one row to tokens and back, a step each; what is wanted of what lies between is
// made.
TEST(FusedQuantized, SeamsToTokens) {
  for (const int channels : {24, 32}) {
    Graph graph;
    const NodeId input = graph.add("image", Input{3}, {});
    NodeId last = graph.add("quantize", Quantize{0.008, 128}, {input});
    last = graph.add("stem", convolution(3, channels, 3, 2, 128, 100), {last});
    last = graph.add("numbers", Dequantize{0.04171, 100}, {last});
    last = graph.add("flat", Reshape{{0, 0, -1}}, {last});
    const NodeId tokens = graph.add("tokens", Transpose{{0, 2, 1}}, {last});
    last = graph.add("first", Transpose{{0, 2, 1}}, {tokens});
    const NodeId map = graph.add("map", Reshape{{0, 0, 1, -1}}, {last});
    last = graph.add("bytes", Quantize{0.05313, 97}, {map});
    graph.output = graph.add("after", convolution(channels, 40, 1, 1, 97, 0), {last});
    const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
    const Shape shape{2, 3, 2, 61};
    const std::vector<float> pixels = image(shape);
    const auto expected = reference_forward(
        *network, ReferenceTensor{shape, {pixels.begin(), pixels.end()}}, {graph.output});
    for (int threads : {1, 3}) {
      const auto plan = compiled(network, shape, {graph.output}, threads);
      EXPECT_EQ(plan->not_storable(), "");
      EXPECT_EQ(plan->steps().size(), 5u);
      for (int pass = 0; pass < 2; ++pass) {
        const auto found = run(*plan, pixels);
        EXPECT_EQ(std::vector<double>(found[0].begin(), found[0].end()), expected[0].values);
      }
      const std::vector<NodeId> wanted{tokens, map};
      expect_near_reference(*network, shape, wanted,
                            run(*compiled(network, shape, wanted, threads), pixels));
    }
  }
}

// Dense 3x3 convolutions of both strides, channels that fill blocks and such that do not: exact.
TEST(FusedQuantized, DenseConvolutions) {
  for (const int channels : {32, 24}) {
    Graph graph;
    const NodeId input = graph.add("image", Input{3}, {});
    NodeId last = graph.add("quantize", Quantize{0.008, 128}, {input});
    last = graph.add("stem", convolution(3, channels, 3, 2, 128, 100), {last});
    last = graph.add("dense", convolution(channels, 40, 3, 1, 100, 7), {last});
    last = graph.add("down", convolution(40, 17, 3, 2, 7, 131), {last});
    graph.output = graph.add("after", convolution(17, 24, 1, 1, 131, 0), {last});
    const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
    for (const Shape& shape : {Shape{1, 3, 64, 48}, {2, 3, 37, 61}, {3, 3, 5, 3}}) {
      const std::vector<float> pixels = image(shape);
      const auto expected = reference_forward(
          *network, ReferenceTensor{shape, {pixels.begin(), pixels.end()}}, {graph.output});
      for (int threads : {1, 3}) {
        const auto plan = compiled(network, shape, {graph.output}, threads);
        EXPECT_EQ(count_int8(*plan), 4u);
        EXPECT_EQ(plan->not_storable(), "");
        for (int pass = 0; pass < 2; ++pass) {
          const auto found = run(*plan, pixels);
          EXPECT_EQ(std::vector<double>(found[0].begin(), found[0].end()), expected[0].values);
        }
      }
    }
  }
}

// The last one's result is not quantized, as nothing but its mean is wanted: with and without a
// ReLU, and with gates below 0, for which it keeps what is below 0.
TEST(FusedQuantized, SqueezeAndExcitationBeforeThePool) {
  for (const ActivationKind gate : {ActivationKind::sigmoid, ActivationKind::silu}) {
    for (bool relu : {true, false}) {
      Graph graph;
      const NodeId input = graph.add("image", Input{3}, {});
      NodeId last = graph.add("quantize", Quantize{0.008, 128}, {input});
      last = graph.add("stem", convolution(3, 40, 3, 2, 128, 110), {last});
      const NodeId numbers = graph.add("numbers", Dequantize{0.03, 110}, {last});
      last = graph.add("squeeze", GlobalAvgPool{}, {numbers});
      const auto layer = [&](const std::string& name, std::int64_t in, std::int64_t out,
                             ActivationKind kind) {
        const Conv2d dense{in, out, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true};
        last = graph.add(name, dense, {last});
        last = graph.add(name + ".activation", Activation{kind}, {last});
      };
      layer("reduce", 40, 6, ActivationKind::relu);
      layer("expand", 6, 40, gate);
      last = graph.add("multiply", Multiply{}, {numbers, last});
      if (relu) last = graph.add("relu", Activation{ActivationKind::relu}, {last});
      last = graph.add("pool", GlobalAvgPool{}, {last});
      graph.output = graph.add("linear", Linear{40, 5, true}, {last});
      const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
      const Shape shape{2, 3, 23, 30};
      const auto plan = compiled(network, shape, {graph.output}, 1);
      EXPECT_EQ(count_int8(*plan), 2u);
      EXPECT_EQ(plan->steps().size(), 3u);
      expect_near_reference(*network, shape, {graph.output}, run(*plan, image(shape)));
    }
  }
}

// The classifier's integers: of the float32 features that it reads, bit for bit, its sums.
TEST(FusedQuantized, Classifiers) {
  for (const int classes : {5, 300}) {
    Graph graph;
    const NodeId input = graph.add("image", Input{3}, {});
    NodeId last = graph.add("quantize", Quantize{0.008, 128}, {input});
    last = graph.add("stem", convolution(3, 40, 3, 2, 128, 110), {last});
    last = graph.add("numbers", Dequantize{0.03, 110}, {last});
    const NodeId pooled = graph.add("pool", GlobalAvgPool{}, {last});
    last = graph.add("features", Quantize{0.0217, 60}, {pooled});
    QuantizedConvolution linear = convolution(40, classes, 1, 1, 60, 0);
    linear.relu = false;
    linear.float_result = true;
    last = graph.add("linear", linear, {last});
    graph.output = graph.add("linear.flat", Reshape{{0, -1}}, {last});
    const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
    Graph head;  // the same of features
    NodeId own = head.add("map", Input{40}, {});
    own = head.add("features", Quantize{0.0217, 60}, {own});
    head.output = head.add("linear", linear, {own});
    const Network alone{head, network->weights};
    for (const Shape& shape : {Shape{1, 3, 64, 48}, {5, 3, 23, 30}}) {
      const std::vector<float> pixels = image(shape);
      for (int threads : {1, 3}) {
        const auto features = run(*compiled(network, shape, {pooled}, threads), pixels);
        const auto expected = reference_forward(
            alone, ReferenceTensor{{shape[0], 40, 1, 1}, {features[0].begin(), features[0].end()}},
            {head.output});
        const auto plan = compiled(network, shape, {graph.output}, threads);
        EXPECT_EQ(plan->not_storable(), "");
        EXPECT_EQ(plan->steps().size(), 3u);
        EXPECT_EQ(count_int8(*plan), 3u);
        for (int pass = 0; pass < 2; ++pass) {
          const auto found = run(*plan, pixels);
          EXPECT_EQ(std::vector<double>(found[0].begin(), found[0].end()), expected[0].values);
        }
      }
    }
  }
}

// Zero points that do not fit together, another reader, another kernel: others run it, and right.
TEST(FusedQuantized, WhatDoesNotFitIsLeftToOthers) {
  const auto check = [](Graph graph, std::size_t fused) {
    const auto network = std::make_shared<const Network>(Network{graph, random_weights(graph)});
    const Shape shape{2, 3, 20, 30};
    const std::vector<float> pixels = image(shape);
    const auto plan = compiled(network, shape, {graph.output}, 1);
    EXPECT_EQ(count_int8(*plan), fused);
    const auto expected = reference_forward(
        *network, ReferenceTensor{shape, {pixels.begin(), pixels.end()}}, {graph.output});
    const auto found = run(*plan, pixels);
    EXPECT_EQ(std::vector<double>(found[0].begin(), found[0].end()), expected[0].values);
  };
  const auto stem = [](Graph& graph, int zero_point) {
    const NodeId input = graph.add("image", Input{3}, {});
    const NodeId bytes = graph.add("quantize", Quantize{0.01, 3}, {input});
    return graph.add("stem", convolution(3, 32, 3, 2, 3, zero_point), {bytes});
  };
  Graph other_zero_point;
  NodeId last = stem(other_zero_point, 5);
  last = other_zero_point.add("depthwise", convolution(32, 32, 3, 1, 6, 0), {last});
  other_zero_point.output =
      other_zero_point.add("pointwise", convolution(32, 16, 1, 1, 0, 0), {last});
  check(other_zero_point, 1);
  Graph large_kernel;
  last = stem(large_kernel, 5);
  last = large_kernel.add("depthwise", convolution(32, 32, 7, 1, 5, 0), {last});
  large_kernel.output = large_kernel.add("pointwise", convolution(32, 16, 1, 1, 0, 0), {last});
  check(large_kernel, 1);
  Graph read_twice;
  last = stem(read_twice, 5);
  const NodeId depthwise = read_twice.add("depthwise", convolution(32, 32, 3, 1, 5, 0), {last});
  last = read_twice.add("pointwise", convolution(32, 32, 1, 1, 0, 0), {depthwise});
  read_twice.output = read_twice.add("sum", Add{}, {depthwise, last});
  check(read_twice, 1);
  Graph read_as_numbers;
  last = stem(read_as_numbers, 0);
  read_as_numbers.output = read_as_numbers.add("relu", Activation{ActivationKind::relu}, {last});
  check(read_as_numbers, 0);
}

}  // namespace
}  // namespace mobileone
