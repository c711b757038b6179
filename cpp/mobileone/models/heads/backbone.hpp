// A classifier's graph as the backbone of another network.
#pragma once

#include <string>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// What names of a backbone's nodes and weights begin with inside of another network.
inline constexpr const char* kBackbonePrefix = "encoder.";

// The nodes that the feature levels of `source` depend on, under kBackbonePrefix, with the levels:
// no classifier, and no convolution after the last level. The input keeps its name. Throws Error,
// beginning with `where`, when there are no levels.
Graph backbone_of(const Graph& source, const std::string& where);

// A feature level of a graph.
struct Level {
  NodeId node;
  std::int64_t channels;
  std::int64_t stride;  // image pixels from one of its pixels to the next
};

// All feature levels, in order.
std::vector<Level> levels_of(const Graph& graph);

// The last one of a stride. Throws Error, beginning with `where`, when there is none.
Level level_of(const Graph& graph, std::int64_t stride, const std::string& where);

}  // namespace mobileone
