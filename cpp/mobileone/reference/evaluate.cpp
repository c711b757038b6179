#include "mobileone/reference/evaluate.hpp"

#include "mobileone/base/error.hpp"
#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

ShapesByName shapes_of(const ReferenceInputs& inputs) {
  ShapesByName shapes;
  for (const auto& [name, tensor] : inputs) {
    if (static_cast<std::int64_t>(tensor.values.size()) != element_count(tensor.shape)) {
      throw Error(concat("[reference] input ", name, " has ", tensor.values.size(),
                         " values for shape ", to_string(tensor.shape)));
    }
    shapes[name] = tensor.shape;
  }
  return shapes;
}

}  // namespace

ReferenceInputs only_input(const Graph& graph, const ReferenceTensor& input) {
  const std::vector<NodeId> ids = graph.inputs();
  if (ids.size() == 1) return {{graph.node(ids[0]).name, input}};
  throw Error(concat("[reference] the graph has ", ids.size(), " inputs; expected one"));
}

Evaluator::Evaluator(const Network& net, ReferenceInputs given, Mode m, int thread_count,
                     std::uint64_t seed)
    : network(net),
      inputs(std::move(given)),
      shapes(infer_shapes(net.graph, shapes_of(inputs))),
      mode(m),
      threads(resolve_threads(thread_count)),
      dropout_seed(seed) {}

std::vector<const ReferenceTensor*> Evaluator::inputs_of(
    NodeId id, const std::vector<ReferenceTensor>& results) const {
  const Node& node = network.graph.node(id);
  if (std::holds_alternative<Input>(node.op)) return {&inputs.at(node.name)};
  std::vector<const ReferenceTensor*> read;
  for (NodeId from : node.inputs) read.push_back(&results[to_index(from)]);
  return read;
}

ReferenceTensor Evaluator::evaluate(NodeId id, const std::vector<const ReferenceTensor*>& read,
                                    const RandomRounding* rounding,
                                    RunningStatistics* updated) const {
  const Call call{*this, id, read, rounding, updated};
  return std::visit([&](const auto& op) { return reference::evaluate(op, call); },
                    network.graph.node(id).op);
}

Gradients Evaluator::vjp(NodeId id, const std::vector<const ReferenceTensor*>& read,
                         const ReferenceTensor& gradient) const {
  const Call call{*this, id, read};
  return std::visit([&](const auto& op) { return reference::vjp(op, call, gradient); },
                    network.graph.node(id).op);
}

Values local_deviation(const Evaluator& evaluator, NodeId id,
                       const std::vector<const ReferenceTensor*>& inputs,
                       const ReferenceTensor& y) {
  const Call call{evaluator, id, inputs};
  return std::visit([&](const auto& op) { return deviation(op, call, y); },
                    evaluator.network.graph.node(id).op);
}

Values Evaluator::weight(NodeId id, const std::string& suffix) const {
  const Node& node = network.graph.node(id);
  const std::string name = node.name + "." + suffix;
  const Tensor& found = network.weight(name);
  for (const Parameter& parameter : parameters(node.name, node.op)) {
    if (parameter.name == name && parameter.shape != found.shape()) {
      throw Error(concat("[reference] weight ", name, " has shape ", to_string(found.shape()),
                         "; expected ", to_string(parameter.shape)));
    }
  }
  return found.to_doubles();
}

Schedule::Schedule(const Graph& graph, const std::vector<NodeId>& outputs)
    : needed(graph.nodes().size(), false), dead_after(graph.nodes().size()) {
  std::vector<bool> kept(needed.size(), false);
  for (NodeId output : outputs) {
    if (output < 0 || output >= static_cast<NodeId>(needed.size())) {
      throw Error(
          concat("[reference] output ", output, " is not a node; the graph has ", needed.size()));
    }
    needed[static_cast<std::size_t>(output)] = kept[static_cast<std::size_t>(output)] = true;
  }
  // Backwards: the first needed reader that is met is the last one to run.
  std::vector<bool> seen(needed.size(), false);
  for (std::size_t id = needed.size(); id-- > 0;) {
    if (!needed[id]) continue;
    for (NodeId input : graph.nodes()[id].inputs) {
      const auto at = static_cast<std::size_t>(input);
      needed[at] = true;
      if (!seen[at] && !kept[at]) dead_after[id].push_back(input);
      seen[at] = true;
    }
  }
}

}  // namespace mobileone::reference
