#include "mobileone/models/heads/backbone.hpp"

#include "mobileone/base/error.hpp"

namespace mobileone {

namespace {

// A side that every stride of a network divides, for its strides to be read off shapes.
constexpr std::int64_t kSide = 4096;

}  // namespace

Graph backbone_of(const Graph& source, const std::string& where) {
  if (source.features.empty()) throw Error(concat(where, "backbone has no feature levels"));
  const std::vector<bool> needed = source.needed_for(source.features);
  std::vector<NodeId> mapped(needed.size(), -1);
  Graph graph;
  for (std::size_t id = 0; id < needed.size(); ++id) {
    if (!needed[id]) continue;
    const Node& node = source.nodes()[id];
    std::vector<NodeId> inputs;
    for (NodeId input : node.inputs) inputs.push_back(mapped[static_cast<std::size_t>(input)]);
    const bool is_input = std::holds_alternative<Input>(node.op);
    mapped[id] = graph.add(is_input ? node.name : kBackbonePrefix + node.name, node.op, inputs);
  }
  for (NodeId id : source.features) graph.features.push_back(mapped[static_cast<std::size_t>(id)]);
  return graph;
}

std::vector<Level> levels_of(const Graph& graph) {
  const auto channels = std::get<Input>(graph.node(graph.inputs().at(0)).op).channels;
  const std::vector<Shape> shapes = infer_shapes(graph, Shape{1, channels, kSide, kSide});
  std::vector<Level> levels;
  for (NodeId id : graph.features) {
    const Shape& shape = shapes[static_cast<std::size_t>(id)];
    levels.push_back({id, shape[1], kSide / shape[2]});
  }
  return levels;
}

Level level_of(const Graph& graph, std::int64_t stride, const std::string& where) {
  std::string strides;
  Level found{-1, 0, stride};
  for (const Level& level : levels_of(graph)) {
    strides += concat(strides.empty() ? "" : ", ", level.stride);
    if (level.stride == stride) found = level;
  }
  if (found.node >= 0) return found;
  throw Error(
      concat(where, "backbone has levels of strides ", strides, "; expected one of ", stride));
}

}  // namespace mobileone
