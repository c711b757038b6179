// A graph's identity: text that a file or another process can make the same graph of.
//
//   {"format": "mobileone.graph", "version": 1,
//    "nodes": [{"name": "stem", "kind": "Conv2d", "inputs": ["input"], "attributes": {...}}, ...],
//    "outputs": {"output": "linear"},
//    "features": ["stem"]}
//
// Nodes are in topological order. Attributes that are missing have their initial values.
#pragma once

#include <string>
#include <string_view>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

std::string to_json(const Graph& graph);

// Throws Error: of text that is not JSON with line and column; of other contents with the path of
// the value, what was found and what was expected; of what is not a graph as GraphBuilder does.
Graph graph_from_json(std::string_view text);

}  // namespace mobileone
