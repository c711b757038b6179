// Lowering: the nodes that are needed for the wanted outputs, activations attached to the operator
// that they follow. Still independent of how anything is executed.
#pragma once

#include <optional>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

struct LoweredOp {
  NodeId node;    // whose weights and attributes are used
  NodeId result;  // whose value is produced: the activation, if one is attached
  std::optional<ActivationKind> activation;
};

// In execution order; Input nodes are left out. An activation is attached when nothing else reads
// the operator's result and nobody wants it as an output; `gradients`: and its derivative follows
// from its own result, so that what it is applied to need not be kept.
std::vector<LoweredOp> lower(const Graph& graph, const std::vector<NodeId>& outputs,
                             bool gradients = false);

}  // namespace mobileone
