// check_op: one operator on every backend, with every number of threads and from every layout that
// a producer leaves, against the float64 reference with its derived bound; the reference's
// gradients against its differences, and those of plans against it; and its graph as JSON and back.
// Instruction sets are chosen per process: CMake runs these tests once for each.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check_backward.hpp"
#include "check_gradients.hpp"
#include "engine_testing.hpp"
#include "mobileone/graph/json.hpp"

namespace mobileone::testing_op {

using testing_engine::image;
using testing_engine::kDeviations;

// How an input of the operator is made of the network's own, [N, 3, H, W].
struct Source {
  enum class Kind { map, gate, tokens };
  Kind kind;
  std::int64_t channels;
  Extent patch{1, 1};  // of tokens
};

// A convolution's result [N, channels, H, W].
inline Source map(std::int64_t channels) { return {Source::Kind::map, channels}; }
// In (0, 1), [N, channels, 1, 1].
inline Source gate(std::int64_t channels) { return {Source::Kind::gate, channels}; }
// That map unfolded: [N h w, H W / (h w), channels].
inline Source tokens(std::int64_t channels, Extent patch = {1, 1}) {
  return {Source::Kind::tokens, channels, patch};
}

// Images [N, 3, H, W] of the awkward sizes.
inline const std::vector<Shape>& awkward_images() {
  static const std::vector<Shape> shapes{
      {2, 3, 1, 1}, {1, 3, 2, 7}, {3, 3, 7, 2}, {1, 3, 13, 13}, {2, 3, 7, 13}};
  return shapes;
}

struct Runner {
  const char* name;
  BackendChoice backend;
  Runs runs = Runs::many;
};
inline constexpr Runner kRunners[] = {{"auto", BackendChoice::automatic},
                                      {"single run", BackendChoice::automatic, Runs::one},
                                      {"onednn", BackendChoice::onednn},
                                      {"loops", BackendChoice::loops}};

// Uniform, of the variance 1 / (inputs of a sum), so that signals keep their scale; batch norms'
// variances and factors are between 1/2 and 3/2.
inline Weights seeded_weights(const Graph& graph) {
  std::mt19937 random(5);
  Weights weights;
  for (const Parameter& parameter : parameters(graph)) {
    if (parameter.dtype == DType::int64) {
      weights.emplace(parameter.name, Tensor::from_int64(7));
      continue;
    }
    const double fan = static_cast<double>(element_count(parameter.shape)) /
                       static_cast<double>(parameter.shape[0]);
    const bool positive = parameter.shape.size() == 1 && !parameter.name.ends_with("bias") &&
                          !parameter.name.ends_with("mean");
    std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
    for (double& value : values) {
      const double unit = static_cast<double>(random()) / 2147483648.0 - 1.0;
      value = positive ? 1.0 + unit / 2.0 : unit * std::sqrt(3.0 / fan);
    }
    weights.emplace(parameter.name, Tensor::from_doubles(parameter.shape, values));
  }
  return weights;
}

class OpNetwork {
 public:
  // `direct`: the operator reads the network's input itself.
  OpNetwork(const Op& op, const std::vector<Source>& sources, bool direct,
            std::optional<ActivationKind> activation) {
    const NodeId input = graph_.add("input", Input{direct ? sources[0].channels : 3}, {});
    std::vector<NodeId> inputs;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      inputs.push_back(direct ? input : add_source(input, sources[i], concat("source", i)));
    }
    graph_.output = graph_.add("op", op, inputs);
    if (activation)
      graph_.output = graph_.add("activation", Activation{*activation}, {graph_.output});
    network_ = std::make_shared<const Network>(Network{graph_, seeded_weights(graph_)});
  }
  const std::shared_ptr<const Network>& network() const { return network_; }

 private:
  NodeId add_source(NodeId input, const Source& source, const std::string& name) {
    Conv2d conv{3, source.channels};
    conv.bias = true;
    const NodeId made = graph_.add(name, conv, {input});
    if (source.kind == Source::Kind::tokens) {
      return graph_.add(name + ".unfold", Unfold{source.patch}, {made});
    }
    if (source.kind == Source::Kind::map) return made;
    const NodeId pooled = graph_.add(name + ".pool", GlobalAvgPool{}, {made});
    return graph_.add(name + ".gate", Activation{ActivationKind::sigmoid}, {pooled});
  }

  Graph graph_;
  std::shared_ptr<const Network> network_;
};

// One pixel of the first image is NaN: results are NaN wherever the reference's are, on every
// backend, and other images' are numbers. (Fused fast algorithms may spread it in its own image.)
inline void check_nan(const std::shared_ptr<const Network>& network, const Shape& shape) {
  std::vector<float> pixels = image(shape);
  const std::int64_t pixel = shape[2] / 2 * shape[3] + shape[3] / 2;
  pixels[static_cast<std::size_t>(pixel)] = std::nanf("");
  const ReferenceTensor input{shape, {pixels.begin(), pixels.end()}};
  const auto expected = reference_forward(*network, input, {network->graph.output});
  const std::size_t size = expected[0].values.size();
  const auto of_first_image = size / static_cast<std::size_t>(shape[0]);
  for (const Runner& runner : kRunners) {
    SCOPED_TRACE(concat(runner.name, ", NaN in ", to_string(shape)));
    CompileOptions options;
    options.outputs = {network->graph.output};
    options.backend = runner.backend;
    const auto plan =
        compile(network, std::make_shared<WeightCache>(), shape, options, runner.runs);
    std::vector<float> found(size);
    float* const outputs[] = {found.data()};
    plan->run(pixels.data(), outputs);
    std::size_t lost = 0, strayed = 0;
    for (std::size_t i = 0; i < size; ++i) {
      lost += std::isnan(expected[0].values[i]) && !std::isnan(found[i]);
      strayed += i >= of_first_image && std::isnan(found[i]);
    }
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(strayed, 0u);
  }
}

// The results of every backend and number of threads on one image. `smooth`: its gradients are
// compared with differences, which those of functions that are steps are not.
inline void check_network(const std::shared_ptr<const Network>& network, const Shape& shape,
                          Mode mode, bool smooth = true) {
  constexpr std::uint64_t kSeed = 9;
  const std::vector<NodeId> wanted{network->graph.output};
  const std::vector<float> pixels = image(shape);
  const ReferenceTensor input{shape, {pixels.begin(), pixels.end()}};
  RunningStatistics statistics;
  const auto expected = reference_forward(*network, input, wanted, mode, &statistics, 1, kSeed);
  const auto deviation = error_deviation(*network, input, wanted, 4, 1, mode, 1, kSeed);
  const double bound = kDeviations * deviation.outputs[0].local_max;
  if (smooth) {
    SCOPED_TRACE(concat("gradients, ", to_string(shape)));
    const ReferenceInputs inputs{{network->graph.node(0).name, input}};
    testing_gradients::check_gradients(*network, inputs, mode, kSeed, expected[0],
                                       bound * testing_gradients::kFloat64);
  }
  for (const Runner& runner : kRunners) {
    if (mode == Mode::train && runner.runs == Runs::one) continue;
    std::vector<float> first;
    for (int threads : {1, 3}) {
      SCOPED_TRACE(concat(runner.name, ", ", threads, " threads, ", to_string(shape),
                          mode == Mode::train ? ", training" : ""));
      CompileOptions options;
      options.threads = threads;
      options.outputs = wanted;
      options.backend = runner.backend;
      options.training = mode == Mode::train;
      const auto plan =
          compile(network, std::make_shared<WeightCache>(), shape, options, runner.runs);
      std::vector<float> found(expected[0].values.size(), std::nanf(""));
      Network after{network->graph, {}};
      if (mode == Mode::train) {
        after = train_forward(*plan, *network, pixels.data(), {found.data()}, kSeed);
      } else {
        float* const outputs[] = {found.data()};
        plan->run(pixels.data(), outputs);
      }
      double worst = 0.0;
      for (std::size_t i = 0; i < found.size(); ++i) {
        const double error = std::abs(static_cast<double>(found[i]) - expected[0].values[i]);
        worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
      }
      EXPECT_LE(worst, bound);
      for (const auto& [name, values] : statistics) {
        const std::vector<double> moved = after.weight(name).to_doubles();
        for (std::size_t c = 0; c < values.size(); ++c) {
          EXPECT_LE(std::abs(moved[c] - values[c]),
                    kDeviations * deviation.statistics.at(name).local_max)
              << name << " of channel " << c;
        }
      }
      // Loops share out whole results: the number of threads changes no bit.
      if (runner.backend != BackendChoice::loops) continue;
      if (threads == 1) first = found;
      EXPECT_EQ(found, first);
    }
  }
}

// Gradients through the operator by plans, whose batch norms are always in training.
inline void check_plan_gradients(const OpNetwork& made, const Op& op,
                                 const std::vector<Source>& sources, const Shape& shape) {
  const Graph& graph = made.network()->graph;
  const Shape result = infer_shapes(graph, shape)[static_cast<std::size_t>(graph.output)];
  const auto* unfold = std::get_if<Unfold>(&op);
  const NodeId map = graph.contains("source0") ? graph.find("source0") : graph.find("input");
  const Graph whole = testing_backward::classifier(graph, graph.output, result,
                                                   unfold ? unfold->patch : sources[0].patch, map);
  // The result of a layer norm of one channel is its bias; a softmax along a row of pixels does not
  // see the bias that they share: gradients that are 0.
  const auto* layer_norm = std::get_if<LayerNorm>(&op);
  const bool constant = layer_norm && layer_norm->channels == 1;
  const std::string unseen = std::holds_alternative<Softmax>(op) ? "source0.bias" : "";
  testing_backward::check_backward(
      std::make_shared<const Network>(Network{whole, seeded_weights(whole)}), shape, 9,
      constant ? "source" : unseen);
}

struct CheckOptions {
  Mode mode = Mode::eval;
  std::optional<ActivationKind> activation = {};  // that follows the operator
};

// Images whose size the sources' patches do not divide are left out.
inline void check_op(const Op& op, const std::vector<Source>& sources,
                     const CheckOptions& options = {},
                     const std::vector<Shape>& images = awkward_images()) {
  const bool plain = sources.size() == 1 && sources[0].kind == Source::Kind::map;
  for (bool direct : {false, true}) {
    if (direct && !plain) continue;
    const OpNetwork made(op, sources, direct, options.activation);
    const Graph& graph = made.network()->graph;
    EXPECT_TRUE(graph_from_json(to_json(graph)) == graph);
    for (Shape shape : images) {
      bool divides = true;
      for (const Source& source : sources) {
        divides &= shape[2] % source.patch[0] == 0 && shape[3] % source.patch[1] == 0;
      }
      if (!divides) continue;
      if (direct) shape[1] = sources[0].channels;
      check_network(made.network(), shape, options.mode);
      if (options.mode == Mode::eval) check_nan(made.network(), shape);
      if (options.mode == Mode::train || !std::holds_alternative<BatchNorm>(op)) {
        check_plan_gradients(made, op, sources, shape);
      }
    }
  }
}

// The network's own input to integers, and a convolution of those. Weights and biases are integers,
// `extreme`: all the largest; multipliers are powers of two, so that many sums lie half way between
// two integers, and others.
inline Network quantized_network(const QuantizedConvolution& op, double scale,
                                 bool extreme = false) {
  Network network;
  const NodeId input = network.graph.add("input", Input{op.in_channels}, {});
  const NodeId bytes = network.graph.add("bytes", Quantize{scale, op.input_zero_point}, {input});
  network.graph.output = network.graph.add("op", op, {bytes});
  std::mt19937 random(7);
  for (const Parameter& parameter : parameters(network.graph)) {
    std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
    for (double& value : values) {
      const double unit = static_cast<double>(random()) / 2147483648.0 - 1.0;
      if (parameter.integers) {
        const double largest = std::min(*parameter.largest, 4000.0);
        value = extreme ? std::copysign(*parameter.largest, unit) : std::round(largest * unit);
      } else {
        value = std::exp2(std::round(-6.0 * (1.0 + unit)) - 4.0) * (unit < 0.0 ? 1.0 : 1.25 + unit);
      }
    }
    network.weights.emplace(parameter.name, Tensor::from_doubles(parameter.shape, values));
  }
  return network;
}

// The same integers on every backend, for inputs that fill their range, that leave it, and for the
// largest weights.
inline void check_quantized(const QuantizedConvolution& op,
                            const std::vector<Shape>& images = awkward_images()) {
  for (const auto& [scale, extreme] : {std::pair{0.01, false}, {1e-4, false}, {1e-4, true}}) {
    const auto network = std::make_shared<const Network>(quantized_network(op, scale, extreme));
    check_weights(*network);
    EXPECT_TRUE(graph_from_json(to_json(network->graph)) == network->graph);
    for (Shape shape : images) {
      shape[1] = op.in_channels;
      SCOPED_TRACE(concat("scale ", scale, extreme ? ", largest weights" : ""));
      bool fits = true;
      for (std::size_t axis = 0; axis < 2; ++axis) {
        fits &= shape[axis + 2] + 2 * op.padding[axis] > op.dilation[axis] * (op.kernel[axis] - 1);
      }
      if (!fits) continue;
      check_network(network, shape, Mode::eval, false);
      check_nan(network, shape);
    }
  }
}

}  // namespace mobileone::testing_op
