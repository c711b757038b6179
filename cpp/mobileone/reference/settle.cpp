#include "mobileone/reference/settle.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "mobileone/reference/evaluate.hpp"

namespace mobileone {

namespace {

using namespace reference;

// Sums of twelve uniform numbers, less their mean: variance 1. The standard says what the generator
// draws, and nothing is rounded, so no machine has others.
ReferenceTensor noise(std::int64_t channels) {
  ReferenceTensor x{{1, channels, kSettlingSize, kSettlingSize}, {}};
  std::mt19937_64 random;  // NOLINT: the default seed
  for (std::int64_t i = element_count(x.shape); i > 0; --i) {
    double sum = -6.0;
    for (int term = 0; term < 12; ++term) sum += static_cast<double>(random() >> 20) * 0x1p-44;
    x.values.push_back(sum);
  }
  return x;
}

ReferenceInputs noise_for(const Graph& graph) {
  ReferenceInputs inputs;
  for (NodeId id : graph.inputs()) {
    const Node& node = graph.node(id);
    inputs[node.name] = noise(std::get<Input>(node.op).channels);
  }
  return inputs;
}

struct Statistics {
  Values mean, var;
};

// Of a batch norm's input [1, C, H, W].
Statistics shrunk_statistics(const ReferenceTensor& x) {
  const std::size_t channels = to_index(x.shape[1]), pixels = plane_size(x.shape);
  const auto count = static_cast<double>(pixels);
  const double trust = count / (count + kPriorPixels);
  Statistics result{Values(channels), Values(channels)};
  for (std::size_t c = 0; c < channels; ++c) {
    const double* const begin = x.values.data() + c * pixels;
    const double mean = trust * std::accumulate(begin, begin + pixels, 0.0) / count;
    const auto add_square = [&](double sum, double v) { return sum + (v - mean) * (v - mean); };
    result.mean[c] = mean;
    result.var[c] = std::accumulate(begin, begin + pixels, 0.0, add_square) / count;
  }
  const double average =
      std::accumulate(result.var.begin(), result.var.end(), 0.0) / static_cast<double>(channels);
  for (double& var : result.var) var = trust * var + (1.0 - trust) * average;
  return result;
}

bool has_batch_norm(const Graph& graph) {
  return std::ranges::any_of(
      graph.nodes(), [](const Node& node) { return std::holds_alternative<BatchNorm>(node.op); });
}

std::vector<NodeId> output_nodes(const Graph& graph) {
  std::vector<NodeId> nodes;
  for (const Output& output : graph.outputs()) nodes.push_back(output.node);
  return nodes;
}

}  // namespace

Network settle(const Network& network, int threads) {
  Network result = network;
  if (!has_batch_norm(result.graph)) return result;
  const Graph& graph = result.graph;
  // Reads the weights of `result` as they are when a node is evaluated.
  const Evaluator evaluator(result, noise_for(graph), Mode::eval, threads);
  const Schedule schedule(graph, output_nodes(graph));
  std::vector<ReferenceTensor> values(graph.nodes().size());
  for (std::size_t id = 0; id < values.size(); ++id) {
    if (!schedule.needed[id]) continue;
    const auto node = static_cast<NodeId>(id);
    const auto read = evaluator.inputs_of(node, values);
    if (const auto* norm = std::get_if<BatchNorm>(&graph.node(node).op)) {
      const Statistics found = shrunk_statistics(*read[0]);
      const std::string prefix = graph.node(node).name + ".running_";
      result.weights[prefix + "mean"] = Tensor::from_doubles({norm->channels}, found.mean);
      result.weights[prefix + "var"] = Tensor::from_doubles({norm->channels}, found.var);
    }
    values[id] = evaluator.evaluate(node, read, nullptr, nullptr);
    for (NodeId dead : schedule.dead_after[id]) values[to_index(dead)] = {};
  }
  return result;
}

}  // namespace mobileone
