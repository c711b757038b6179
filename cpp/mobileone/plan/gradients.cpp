#include "mobileone/plan/gradients.hpp"

#include <algorithm>

#include "mobileone/base/error.hpp"

namespace mobileone {

Gradients::Gradients(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    const std::vector<Parameter> weights = parameters(node.name, node.op);
    const bool own = std::any_of(weights.begin(), weights.end(),
                                 [](const Parameter& weight) { return weight.trainable; });
    wanted_.push_back(own || std::any_of(node.inputs.begin(), node.inputs.end(),
                                         [&](NodeId input) { return wants(input); }));
  }
}

void Gradients::add(NodeId id, ValueId part, bool before_activation) {
  Parts& parts = parts_[id];
  if (parts.before_activation || (before_activation && !parts.values.empty())) {
    throw Error(concat("[plan] node ", id, " has a gradient before its activation and another"));
  }
  parts.values.push_back(part);
  parts.before_activation = before_activation;
}

const Gradients::Parts& Gradients::of(NodeId id) const {
  const auto found = parts_.find(id);
  if (found == parts_.end()) throw Error(concat("[plan] node ", id, " has no gradient"));
  return found->second;
}

}  // namespace mobileone
