// Networks whose arithmetic is exact in float64, so that rewrites can be compared without
// tolerance.
//
// Weights, biases, means and inputs are small integers; gammas are too, and var + eps is 1 or 4, so
// every folded value is a small multiple of 1/2 and no sum of products is ever rounded.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "mobileone/graph/graph.hpp"
#include "mobileone/reference/reference.hpp"

namespace mobileone::testing {

inline Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1,
                   std::int64_t groups = 1, bool bias = false) {
  return {in,     out, {kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}, {1, 1},
          groups, bias};
}

inline BatchNorm batch_norm(std::int64_t channels) { return {channels, 0.25}; }

inline double draw(std::mt19937& random, int low, int high) {
  return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
}

inline double exact_value(std::mt19937& random, const std::string& name) {
  const auto ends_with = [&](const char* suffix) { return name.ends_with(suffix); };
  if (ends_with(".running_var")) return draw(random, 0, 1) > 0 ? 0.75 : 3.75;
  return draw(random, -2, 2);
}

// The same graph with the eps that makes var + eps a square.
inline Graph with_exact_eps(const Graph& graph) {
  Graph result;
  for (const Node& node : graph.nodes()) {
    const auto* norm = std::get_if<BatchNorm>(&node.op);
    result.add(node.name, norm ? Op{batch_norm(norm->channels)} : node.op, node.inputs);
  }
  result.output = graph.output;
  result.features = graph.features;
  return result;
}

inline Network exact_network(const Graph& graph, unsigned seed = 1) {
  std::mt19937 random(seed);
  Network network{with_exact_eps(graph), {}};
  for (const Parameter& parameter : parameters(network.graph)) {
    if (parameter.dtype == DType::int64) {
      network.weights[parameter.name] = Tensor::from_int64(7);
      continue;
    }
    std::vector<double> values(static_cast<std::size_t>(element_count(parameter.shape)));
    for (double& value : values) value = exact_value(random, parameter.name);
    network.weights[parameter.name] = Tensor::from_doubles(parameter.shape, values);
  }
  check_weights(network);
  return network;
}

inline ReferenceTensor exact_input(const Shape& shape, unsigned seed = 2) {
  std::mt19937 random(seed);
  ReferenceTensor input{shape, std::vector<double>(static_cast<std::size_t>(element_count(shape)))};
  for (double& value : input.values) value = draw(random, -3, 3);
  return input;
}

// Output and features, equal to the last bit, and not all zero.
inline void expect_same_function(const Network& first, const Network& second, const Shape& shape) {
  const auto run = [&](const Network& network) {
    std::vector<NodeId> wanted = network.graph.features;
    wanted.push_back(network.graph.output);
    return reference_forward(network, exact_input(shape), wanted);
  };
  const auto a = run(first), b = run(second);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].shape, b[i].shape);
    EXPECT_EQ(a[i].values, b[i].values);
    double largest = 0;
    for (double value : a[i].values) largest = std::max(largest, std::abs(value));
    EXPECT_GT(largest, 0);
  }
}

inline std::vector<std::string> node_names(const Network& network) {
  std::vector<std::string> names;
  for (const Node& node : network.graph.nodes()) names.push_back(node.name);
  return names;
}

template <typename Kind>
int count_nodes(const Network& network) {
  int count = 0;
  for (const Node& node : network.graph.nodes()) count += std::holds_alternative<Kind>(node.op);
  return count;
}

inline const Conv2d& conv_of(const Network& network, const std::string& name) {
  return std::get<Conv2d>(network.graph.node(network.graph.find(name)).op);
}

}  // namespace mobileone::testing
