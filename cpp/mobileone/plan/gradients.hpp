// Bookkeeping of the backward half of a plan: what emits it, and the parts of every gradient.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "mobileone/graph/graph.hpp"
#include "mobileone/plan/value.hpp"

namespace mobileone {

class Gradients {
 public:
  explicit Gradients(const Graph& graph);

  // Whether a trainable weight is among what the node's result depends on.
  bool wants(NodeId id) const { return wanted_[static_cast<std::size_t>(id)]; }

  // What emits the backward steps of the operators in forward order, and the same reversed.
  void record(std::function<void()> emit) { tape_.push_back(std::move(emit)); }
  std::vector<std::function<void()>> reversed() const { return {tape_.rbegin(), tape_.rend()}; }

  // The gradient of a node's result: one part per reader.
  struct Parts {
    std::vector<ValueId> values;
    bool before_activation = false;  // of what the node's own activation was applied to
  };
  void add(NodeId id, ValueId part, bool before_activation);
  bool has(NodeId id) const { return parts_.count(id) > 0; }
  // Throws Error when there is none.
  const Parts& of(NodeId id) const;

 private:
  std::vector<bool> wanted_;
  std::vector<std::function<void()>> tape_;
  std::map<NodeId, Parts> parts_;
};

}  // namespace mobileone
