#include "mobileone/rewrite/compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {

namespace {

constexpr double kUnit = 0x1p-24;          // float32's unit roundoff
constexpr double kSmallest = 0x1p-149;     // and its smallest positive number
constexpr double kGainRoundings = 4.0;     // of gamma * (1 / sqrt(var + eps)), eps rounded too
constexpr double kProductRoundings = 1.0;  // of the gain and a weight, mean or bias
constexpr double kShiftRoundings = 2.0;    // (bias - mean) * gain + beta

// The same network with |w| for every w, and -|w| for running means, which the algebra subtracts:
// its inference form sums the magnitudes of all terms.
Network with_magnitudes(const Network& network) {
  Network result{network.graph, {}};
  for (const auto& [name, tensor] : network.weights) {
    const bool mean = name.ends_with(".running_mean");
    if (name.ends_with(".running_var") || tensor.dtype() == DType::int64) {
      result.weights[name] = tensor;
      continue;
    }
    std::vector<double> values = tensor.to_doubles();
    for (double& value : values) value = mean ? -std::abs(value) : std::abs(value);
    result.weights[name] = Tensor::from_doubles(tensor.shape(), values, tensor.dtype());
  }
  return result;
}

// Terms of the longest sum that a merged weight can be. A sum among the terms of another adds its
// own, and a norm between them counts with its roundings.
double most_branches(const Graph& graph) {
  std::vector<double> additions;  // of each node, one after the other
  for (const Node& node : graph.nodes()) {
    double most = 0.0;
    for (NodeId input : node.inputs) {
      most = std::max(most, additions[static_cast<std::size_t>(input)]);
    }
    if (std::holds_alternative<Add>(node.op)) {
      most += static_cast<double>(node.inputs.size()) - 1.0;
    } else if (std::holds_alternative<BatchNorm>(node.op)) {
      most += most > 0.0 ? kGainRoundings + kProductRoundings : 0.0;
    } else {
      most = 0.0;
    }
    additions.push_back(most);
  }
  return 1.0 + *std::max_element(additions.begin(), additions.end());
}

// Roundings of every term of a weight that the algebra makes, one after the other, in float32.
double roundings(bool bias, double branches) {
  return kGainRoundings + kProductRoundings + (bias ? kShiftRoundings : 0.0) + (branches - 1.0);
}

// Whether element `element` of a bias is one of an attention's keys.
bool is_key_bias(const Graph& graph, const std::vector<std::vector<NodeId>>& consumers, NodeId node,
                 const std::string& weight, std::int64_t element) {
  const auto* linear = std::get_if<Linear>(&graph.node(node).op);
  if (!linear || !weight.ends_with(".bias")) return false;
  const auto& readers = consumers[static_cast<std::size_t>(node)];
  const bool attended =
      !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
        return std::holds_alternative<Attention>(graph.node(reader).op);
      });
  const std::int64_t width = linear->out_features / 3;
  return attended && element >= width && element < 2 * width;
}

struct Forms {
  Network exact, magnitudes;
  double branches;

  explicit Forms(const Network& network)
      : exact(fold_and_merge(network)),
        magnitudes(fold_and_merge(with_magnitudes(network))),
        branches(most_branches(network.graph)) {}
};

}  // namespace

double WeightDifference::ratio() const {
  const double difference = std::abs(candidate - reference);
  if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
  return difference / bound;
}

std::optional<WeightComparison> compare_weights(const Network& reference,
                                                const Network& candidate) {
  const Forms first(reference), second(candidate);
  if (first.exact.graph != second.exact.graph) return std::nullopt;
  WeightComparison result{first.exact.graph, {}};
  const auto consumers = result.graph.consumers();
  const double branches = std::max(first.branches, second.branches);
  for (NodeId id = 0; id < static_cast<NodeId>(result.graph.nodes().size()); ++id) {
    const Node& node = result.graph.node(id);
    for (const Parameter& parameter : parameters(node.name, node.op)) {
      const std::string& name = parameter.name;
      const Tensor &a = first.exact.weight(name), &b = second.exact.weight(name);
      const std::vector<double> x = a.to_doubles(), y = b.to_doubles();
      const std::vector<double> p = first.magnitudes.weight(name).to_doubles();
      const std::vector<double> q = second.magnitudes.weight(name).to_doubles();
      const bool made = a.dtype() == DType::float64 || b.dtype() == DType::float64;
      const double units = made ? roundings(name.ends_with(".bias"), branches) : 1.0;
      const double relative = units * kUnit / (1.0 - units * kUnit);
      WeightDifference worst{id, name, 0, 0.0, 0.0, 1.0};
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto element = static_cast<std::int64_t>(i);
        const double bound = relative * std::max(p[i], q[i]) + units * kSmallest;
        const WeightDifference found{id, name, element, x[i], y[i], bound};
        if (i > 0 && found.ratio() <= worst.ratio()) continue;
        if (is_key_bias(result.graph, consumers, id, name, element)) continue;
        worst = found;
      }
      if (!x.empty()) result.weights.push_back(worst);
    }
  }
  return result;
}

}  // namespace mobileone
