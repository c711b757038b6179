#include "mobileone/reference/reference.hpp"

#include "mobileone/base/error.hpp"
#include "mobileone/reference/evaluate.hpp"

namespace mobileone {

std::vector<ReferenceTensor> reference_forward(const Network& network, const ReferenceTensor& input,
                                               const std::vector<NodeId>& outputs, Mode mode,
                                               RunningStatistics* updated, int threads,
                                               std::uint64_t dropout_seed) {
  const reference::Evaluator evaluator(network, input.shape, mode, threads, dropout_seed);
  const reference::Schedule schedule(network.graph, outputs);
  const std::vector<Node>& nodes = network.graph.nodes();
  if (static_cast<std::int64_t>(input.values.size()) != element_count(input.shape)) {
    throw Error(concat("[reference] input has ", input.values.size(), " values for shape ",
                       to_string(input.shape)));
  }

  std::vector<ReferenceTensor> results(nodes.size());
  for (std::size_t id = 0; id < nodes.size(); ++id) {
    if (!schedule.needed[id]) continue;
    std::vector<const ReferenceTensor*> inputs;
    for (NodeId from : nodes[id].inputs) inputs.push_back(&results[static_cast<std::size_t>(from)]);
    if (inputs.empty()) inputs.push_back(&input);
    results[id] = evaluator.evaluate(static_cast<NodeId>(id), inputs, nullptr, updated);
    for (NodeId dead : schedule.dead_after[id]) results[static_cast<std::size_t>(dead)] = {};
  }
  std::vector<ReferenceTensor> selected;
  for (NodeId output : outputs) selected.push_back(results[static_cast<std::size_t>(output)]);
  return selected;
}

}  // namespace mobileone
