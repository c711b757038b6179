#include "mobileone/graph/dot.hpp"

#include <algorithm>

namespace mobileone {

namespace {

// Text inside a quoted DOT string; names may hold anything.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      result += ' ';
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string label_of(const Node& node) {
  std::string label = escaped(node.name) + "\\n" + kind_name(node.op);
  for (const auto& [name, value] : attributes_of(node.op)) {
    label += "\\n" + name + " = " + escaped(to_string(value));
  }
  return label;
}

// Of one node: what it is among the graph's results.
std::string style_of(const Graph& graph, NodeId id) {
  const bool feature =
      std::find(graph.features.begin(), graph.features.end(), id) != graph.features.end();
  for (const Output& output : graph.outputs()) {
    if (output.node == id) return ", penwidth = 2, xlabel = \"" + escaped(output.key) + "\"";
  }
  return feature ? ", penwidth = 2" : "";
}

}  // namespace

std::string to_dot(const Graph& graph) {
  std::string text = "digraph {\n  node [shape = box, fontname = \"sans-serif\"]\n";
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
    const Node& node = graph.node(id);
    text += concat("  ", id, " [label = \"", label_of(node), "\"", style_of(graph, id), "]\n");
    const bool lends = traits_of(node.op).lends_shape && node.inputs.size() == 2;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const bool shape_only = lends && i == 1;
      text += concat("  ", node.inputs[i], " -> ", id, shape_only ? " [style = dashed]\n" : "\n");
    }
  }
  return text + "}\n";
}

}  // namespace mobileone
