// Pictures of graphs.
#pragma once

#include <string>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Graphviz's DOT: a box per node with its name, kind and attributes, in the order of the nodes; an
// edge per input, dashed where only the shape is read; outputs and features are marked.
std::string to_dot(const Graph& graph);

}  // namespace mobileone
