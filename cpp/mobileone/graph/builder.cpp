#include "mobileone/graph/builder.hpp"

#include "mobileone/base/error.hpp"

namespace mobileone {

NodeId GraphBuilder::add(const std::string& name, const std::string& kind,
                         const std::vector<std::string>& inputs, const Attributes& attributes) {
  Op op = make_op(kind, attributes, name);
  std::vector<NodeId> ids;
  for (const std::string& input : inputs) {
    if (!graph_.contains(input)) {
      throw Error(concat("[graph] ", name, ": input ", input, " is not an earlier node"));
    }
    ids.push_back(graph_.find(input));
  }
  return graph_.add(name, std::move(op), std::move(ids));
}

void GraphBuilder::output(const std::string& node, const std::string& key) {
  const NodeId id = graph_.find(node);
  if (graph_.output < 0) {
    graph_.output = id;
    graph_.output_key = key;
    return;
  }
  for (const Output& other : graph_.outputs()) {
    if (other.key == key) throw Error(concat("[graph] two outputs are named ", key));
  }
  graph_.further_outputs.push_back({key, id});
}

void GraphBuilder::feature(const std::string& node) {
  graph_.features.push_back(graph_.find(node));
}

Graph GraphBuilder::build() const {
  if (graph_.output < 0) throw Error("[graph] there is no output; expected at least one");
  return graph_;
}

}  // namespace mobileone
