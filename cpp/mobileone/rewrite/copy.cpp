#include "mobileone/rewrite/copy.hpp"

#include <algorithm>

#include "mobileone/base/error.hpp"

namespace mobileone {

GraphCopy::GraphCopy(const Network& source)
    : source_(source),
      consumers_(source.graph.consumers()),
      mapping_(source.graph.nodes().size(), -1) {}

NodeId GraphCopy::only_reader(NodeId producer) const {
  const Graph& graph = source_.graph;
  const auto& readers = consumers_[static_cast<std::size_t>(producer)];
  const auto is_producer = [&](const Output& output) { return output.node == producer; };
  const bool is_only = readers.size() == 1 && std::ranges::none_of(graph.outputs(), is_producer) &&
                       std::ranges::find(graph.features, producer) == graph.features.end();
  return is_only ? readers[0] : -1;
}

void GraphCopy::keep(NodeId id) {
  const Node& node = source_.graph.node(id);
  map(id, result_.graph.add(node.name, node.op, mapped(node.inputs)));
  for (const Parameter& parameter : parameters(node.name, node.op)) {
    set_weight(parameter.name, source_.weight(parameter.name));
  }
}

void GraphCopy::replace(NodeId id, const std::string& name, const Op& op,
                        const std::vector<NodeId>& inputs) {
  map(id, insert(name, op, inputs));
}

NodeId GraphCopy::insert(const std::string& name, const Op& op, const std::vector<NodeId>& inputs) {
  return result_.graph.add(name, op, mapped(inputs));
}

void GraphCopy::set_weight(const std::string& name, Tensor value) {
  result_.weights.insert_or_assign(name, std::move(value));
}

NodeId GraphCopy::mapped(NodeId old_id) const {
  const NodeId id = mapping_[static_cast<std::size_t>(old_id)];
  if (id < 0) {
    throw Error(
        concat("[rewrite] ", source_.graph.node(old_id).name, " is used after it was folded"));
  }
  return id;
}

std::vector<NodeId> GraphCopy::mapped(const std::vector<NodeId>& old_ids) const {
  std::vector<NodeId> result;
  for (NodeId id : old_ids) result.push_back(mapped(id));
  return result;
}

Network GraphCopy::finish() && {
  const Graph& source = source_.graph;
  if (source.output >= 0) result_.graph.output = mapped(source.output);
  result_.graph.output_key = source.output_key;
  for (const Output& output : source.further_outputs) {
    result_.graph.further_outputs.push_back({output.key, mapped(output.node)});
  }
  result_.graph.features = mapped(source_.graph.features);
  return std::move(result_);
}

}  // namespace mobileone
