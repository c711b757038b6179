// check_backward: a plan's loss and gradients against the float64 reference's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check_gradients.hpp"
#include "engine_testing.hpp"

namespace mobileone::testing_backward {

// A classifier of five classes that reads a node's result: its squares, pooled, so that every
// element has a gradient of its own. Sequences [B h w, N, C] are folded into a map by `patch`, as
// large as the result of `map`.
inline Graph classifier(Graph graph, NodeId result, const Shape& shape, const Extent& patch,
                        NodeId map) {
  if (shape.size() == 2) {
    graph.output = result;
    return graph;
  }
  std::int64_t channels = shape[1];
  if (shape.size() == 3) {
    channels = shape[2];
    result = graph.add("head.fold", Fold{patch}, {result, map});
  }
  const NodeId squares = graph.add("head.square", Multiply{}, {result, result});
  const NodeId pooled = graph.add("head.pool", GlobalAvgPool{}, {squares});
  graph.output = graph.add("head.linear", Linear{channels, 5, true}, {pooled});
  return graph;
}

// The same network with the statistics of a batch as constants, for Mode::eval.
inline Network with_constant_statistics(const Network& network, const ReferenceInputs& inputs) {
  Network fixed{{}, network.weights};
  for (const Node& node : network.graph.nodes()) {
    Op op = node.op;
    if (auto* batch_norm = std::get_if<BatchNorm>(&op)) batch_norm->momentum = 1.0;
    fixed.graph.add(node.name, op, node.inputs);
  }
  fixed.graph.output = network.graph.output;
  RunningStatistics statistics;
  reference_forward(fixed, inputs, {fixed.graph.output}, Mode::train, &statistics, 1);
  for (const auto& [name, values] : statistics) {
    fixed.weights[name] = Tensor::from_doubles(network.weight(name).shape(), values);
  }
  return fixed;
}

inline double norm(const std::vector<double>& values) {
  double squares = 0.0;
  for (double value : values) squares += value * value;
  return std::sqrt(squares);
}

// The terms of the longest sum of either direction, and the number of sums after one another.
inline double error_growth(const Graph& graph, const std::vector<Shape>& shapes) {
  double terms = 1.0;
  for (std::size_t id = 0; id < shapes.size(); ++id) {
    const Node& node = graph.nodes()[id];
    const auto count = static_cast<double>(element_count(shapes[id]));
    const auto width = static_cast<double>(shapes[id][shapes[id].size() == 3 ? 2 : 1]);
    terms = std::max(terms, count / width);
    for (const Parameter& weight : parameters(node.name, node.op)) {
      const auto size = static_cast<double>(element_count(weight.shape));
      if (weight.shape.size() > 1) {
        terms = std::max(terms, size / static_cast<double>(weight.shape[0]));
      }
    }
  }
  return std::sqrt(terms * 2.0 * static_cast<double>(shapes.size()));
}

// fp32's error of a sum of n terms is u sqrt(n / 2) of their norm (docs/verification.md, eq. 3),
// and adds up over the steps. The terms of gradients through a batch norm may cancel: those with
// its statistics as constants do not. Names that begin with `skipped` are left out.
inline void check_backward(const std::shared_ptr<const Network>& network, const Shape& shape,
                           std::uint64_t dropout_seed, const std::string& skipped) {
  const Graph& graph = network->graph;
  const std::vector<float> pixels = testing_engine::image(shape);
  const ReferenceInputs inputs{{graph.node(0).name, {shape, {pixels.begin(), pixels.end()}}}};
  const std::vector<Shape> shapes = infer_shapes(graph, shape);
  const Shape& logits = shapes[static_cast<std::size_t>(graph.output)];
  std::mt19937 random(17);
  ReferenceTensor targets{logits, testing_gradients::random_values(
                                      random, static_cast<std::size_t>(element_count(logits)))};
  // float32 numbers: the engine gets the same.
  for (double& target : targets.values) target = std::round(64.0 * std::abs(target)) / 64.0;
  const std::vector<float> given(targets.values.begin(), targets.values.end());
  const auto expected =
      reference_loss(*network, inputs, targets, 0.0, Mode::train, 1, dropout_seed);
  const auto terms = reference_loss(with_constant_statistics(*network, inputs), inputs, targets,
                                    0.0, Mode::eval, 1)
                         .gradients;
  const double bound =
      testing_engine::kDeviations * reference::kUnitRoundoff * error_growth(graph, shapes);

  for (BackendChoice backend : {BackendChoice::automatic, BackendChoice::loops}) {
    std::vector<std::vector<float>> first;
    for (int threads : {1, 3}) {
      SCOPED_TRACE(concat("backward, ", threads, " threads, ", to_string(shape),
                          backend == BackendChoice::loops ? ", loops" : ""));
      CompileOptions options;
      options.threads = threads;
      options.outputs = {graph.output};
      options.backend = backend;
      options.training = options.gradients = true;
      const auto plan = compile(network, std::make_shared<WeightCache>(), shape, options);
      std::vector<std::vector<float>> found;
      for (const PlanOutput& output : plan->outputs()) {
        if (output.is_statistic()) continue;
        found.emplace_back(static_cast<std::size_t>(element_count(output.shape)), std::nanf(""));
      }
      std::vector<float*> pointers;
      for (auto& values : found) pointers.push_back(values.data());
      train_forward(*plan, *network, pixels.data(), pointers, dropout_seed, given.data());
      std::size_t at = 0, compared = 0;
      for (const PlanOutput& output : plan->outputs()) {
        if (output.is_statistic()) continue;
        const std::vector<float>& values = found[at++];
        if (output.kind == PlanOutput::Kind::loss) {
          EXPECT_NEAR(static_cast<double>(values[0]), expected.loss,
                      bound * (1.0 + std::abs(expected.loss)));
        }
        if (output.kind != PlanOutput::Kind::gradient) continue;
        ++compared;
        if (!skipped.empty() && output.weight.starts_with(skipped)) continue;
        std::vector<double> error = expected.gradients.weights.at(output.weight).values;
        const double scale = norm(error) + norm(terms.weights.at(output.weight).values);
        for (std::size_t i = 0; i < error.size(); ++i) error[i] -= static_cast<double>(values[i]);
        EXPECT_LE(norm(error), bound * scale) << output.weight;
      }
      EXPECT_EQ(compared, expected.gradients.weights.size());
      // The number of threads changes no bit.
      if (threads == 1) first = found;
      EXPECT_EQ(found, first);
    }
  }
}

}  // namespace mobileone::testing_backward
