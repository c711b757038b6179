#include "mobileone/plan/lower.hpp"

#include <algorithm>

namespace mobileone {

namespace {

// relu' = [y > 0], sigmoid' = y (1 - y).
bool derivative_follows_from_result(ActivationKind kind) {
  return kind == ActivationKind::relu || kind == ActivationKind::sigmoid;
}

}  // namespace

std::vector<LoweredOp> lower(const Graph& graph, const std::vector<NodeId>& outputs,
                             bool gradients) {
  const std::vector<bool> needed = graph.needed_for(outputs);
  const auto consumers = graph.consumers();
  const auto sole_reader = [&](std::size_t id) -> NodeId {
    if (std::count(outputs.begin(), outputs.end(), static_cast<NodeId>(id))) return -1;
    NodeId reader = -1;
    for (NodeId consumer : consumers[id]) {
      if (!needed[static_cast<std::size_t>(consumer)]) continue;
      if (reader >= 0) return -1;
      reader = consumer;
    }
    return reader;
  };

  std::vector<LoweredOp> result;
  std::vector<bool> attached(needed.size(), false);
  for (std::size_t id = 0; id < needed.size(); ++id) {
    const Node& node = graph.nodes()[id];
    if (!needed[id] || attached[id] || std::holds_alternative<Input>(node.op)) continue;
    LoweredOp lowered{static_cast<NodeId>(id), static_cast<NodeId>(id), std::nullopt};
    const NodeId reader = traits_of(node.op).takes_activation ? sole_reader(id) : -1;
    if (reader >= 0) {
      const auto* activation = std::get_if<Activation>(&graph.node(reader).op);
      if (activation && (!gradients || derivative_follows_from_result(activation->kind))) {
        lowered.result = reader;
        lowered.activation = activation->kind;
        attached[static_cast<std::size_t>(reader)] = true;
      }
    }
    result.push_back(lowered);
  }
  return result;
}

}  // namespace mobileone
