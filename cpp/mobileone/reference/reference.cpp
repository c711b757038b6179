#include "mobileone/reference/reference.hpp"

#include "mobileone/reference/evaluate.hpp"

namespace mobileone {

std::vector<ReferenceTensor> reference_forward(const Network& network,
                                               const ReferenceInputs& inputs,
                                               const std::vector<NodeId>& outputs, Mode mode,
                                               RunningStatistics* updated, int threads,
                                               std::uint64_t dropout_seed) {
  const reference::Evaluator evaluator(network, inputs, mode, threads, dropout_seed);
  const reference::Schedule schedule(network.graph, outputs);
  std::vector<ReferenceTensor> results(network.graph.nodes().size());
  for (std::size_t id = 0; id < results.size(); ++id) {
    if (!schedule.needed[id]) continue;
    const auto node = static_cast<NodeId>(id);
    results[id] = evaluator.evaluate(node, evaluator.inputs_of(node, results), nullptr, updated);
    for (NodeId dead : schedule.dead_after[id]) results[static_cast<std::size_t>(dead)] = {};
  }
  std::vector<ReferenceTensor> selected;
  for (NodeId output : outputs) selected.push_back(results[static_cast<std::size_t>(output)]);
  return selected;
}

std::vector<ReferenceTensor> reference_forward(const Network& network, const ReferenceTensor& input,
                                               const std::vector<NodeId>& outputs, Mode mode,
                                               RunningStatistics* updated, int threads,
                                               std::uint64_t dropout_seed) {
  return reference_forward(network, reference::only_input(network.graph, input), outputs, mode,
                           updated, threads, dropout_seed);
}

}  // namespace mobileone
