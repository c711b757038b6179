// Making a graph from names: of nodes, operators and attributes, as JSON and Python give them.
#pragma once

#include <string>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

class GraphBuilder {
 public:
  // Appends a node. Throws Error that names the node and what is wrong: the kind, an input that is
  // not an earlier node, the number of inputs, an attribute that the operator does not have, is of
  // another type or out of range.
  NodeId add(const std::string& name, const std::string& kind,
             const std::vector<std::string>& inputs, const Attributes& attributes);

  // Makes a node's result one of the graph's, under the name `key`; the first is the main one.
  // Throws Error when there is no such node, or another output of that name.
  void output(const std::string& node, const std::string& key);
  // Makes a node's result the next feature level.
  void feature(const std::string& node);

  // The graph so far; throws Error when it has no output.
  Graph build() const;

 private:
  Graph graph_;
};

}  // namespace mobileone
