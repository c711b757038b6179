#include "mobileone/graph/graph.hpp"

#include <cmath>
#include <set>

#include "mobileone/base/error.hpp"

namespace mobileone {

namespace {

void check_arity(const std::string& name, const Op& op, std::size_t found) {
  const auto [least, most] = arity_of(op);
  if (found >= least && found <= most) return;
  const std::string upper = least == most        ? ""
                            : most == kAnyNumber ? " or more"
                                                 : concat(" to ", most);
  throw Error(concat("[graph] ", name, ": ", kind_name(op), " has ", found, " inputs; expected ",
                     least, upper));
}

// Of the operators that read weights, or of the others.
std::int64_t sum_macs(const Graph& graph, const Shape& input_shape, bool with_weights) {
  const std::vector<Shape> shapes = infer_shapes(graph, input_shape);
  std::int64_t macs = 0;
  for (std::size_t id = 0; id < shapes.size(); ++id) {
    const Node& node = graph.nodes()[id];
    if (parameters(node.name, node.op).empty() == with_weights) continue;
    macs += count_macs(node.op, shapes[id]);
  }
  return macs;
}

// " (image, mask)".
std::string names_of(const Graph& graph, const std::vector<NodeId>& ids) {
  std::string names;
  for (NodeId id : ids) names += (names.empty() ? " (" : ", ") + graph.node(id).name;
  return names.empty() ? names : names + ")";
}

void check_is_input(const Graph& graph, const std::string& name) {
  const std::vector<NodeId> inputs = graph.inputs();
  for (NodeId id : inputs) {
    if (graph.node(id).name == name) return;
  }
  throw Error(concat("[graph] there is no input ", name, "; expected one of the ", inputs.size(),
                     " inputs", names_of(graph, inputs)));
}

}  // namespace

NodeId Graph::add(std::string name, Op op, std::vector<NodeId> inputs) {
  const auto id = static_cast<NodeId>(nodes_.size());
  check_arity(name, op, inputs.size());
  check_attributes(op, name);
  for (NodeId input : inputs) {
    if (input < 0 || input >= id) {
      throw Error(concat("[graph] ", name, ": input ", input, " is not an earlier node"));
    }
  }
  if (!ids_.emplace(name, id).second) throw Error(concat("[graph] two nodes are named ", name));
  nodes_.push_back({std::move(name), std::move(op), std::move(inputs)});
  return id;
}

NodeId Graph::find(const std::string& name) const {
  const auto found = ids_.find(name);
  if (found == ids_.end()) throw Error(concat("[graph] there is no node named ", name));
  return found->second;
}

std::vector<NodeId> Graph::inputs() const {
  std::vector<NodeId> result;
  for (std::size_t id = 0; id < nodes_.size(); ++id) {
    if (std::holds_alternative<Input>(nodes_[id].op)) result.push_back(static_cast<NodeId>(id));
  }
  return result;
}

std::vector<Output> Graph::outputs() const {
  std::vector<Output> result;
  if (output >= 0) result.push_back({output_key, output});
  result.insert(result.end(), further_outputs.begin(), further_outputs.end());
  return result;
}

std::vector<std::vector<NodeId>> Graph::consumers() const {
  std::vector<std::vector<NodeId>> result(nodes_.size());
  for (std::size_t id = 0; id < nodes_.size(); ++id) {
    for (NodeId input : nodes_[id].inputs) {
      result[static_cast<std::size_t>(input)].push_back(static_cast<NodeId>(id));
    }
  }
  return result;
}

std::vector<bool> Graph::needed_for(const std::vector<NodeId>& results) const {
  std::vector<bool> needed(nodes_.size(), false);
  for (NodeId result : results) needed[static_cast<std::size_t>(result)] = true;
  for (std::size_t id = needed.size(); id-- > 0;) {
    if (!needed[id]) continue;
    for (NodeId input : nodes_[id].inputs) needed[static_cast<std::size_t>(input)] = true;
  }
  return needed;
}

const Tensor& Network::weight(const std::string& name) const {
  const auto found = weights.find(name);
  if (found == weights.end()) throw Error(concat("[network] weight ", name, " is missing"));
  return found->second;
}

std::vector<Shape> infer_shapes(const Graph& graph, const ShapesByName& input_shapes) {
  for (const auto& [name, shape] : input_shapes) check_is_input(graph, name);
  std::vector<Shape> shapes;
  shapes.reserve(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    std::vector<Shape> inputs;
    for (NodeId input : node.inputs) inputs.push_back(shapes[static_cast<std::size_t>(input)]);
    if (std::holds_alternative<Input>(node.op)) {
      const auto given = input_shapes.find(node.name);
      if (given == input_shapes.end()) {
        throw Error(concat("[graph] input ", node.name, " has no shape"));
      }
      inputs.push_back(given->second);
    }
    shapes.push_back(output_shape(node.op, node.name, std::move(inputs)));
  }
  return shapes;
}

std::vector<Shape> infer_shapes(const Graph& graph, const Shape& input_shape) {
  const std::vector<NodeId> inputs = graph.inputs();
  if (inputs.size() == 1) {
    return infer_shapes(graph, ShapesByName{{graph.node(inputs[0]).name, input_shape}});
  }
  throw Error(concat("[graph] there are ", inputs.size(), " inputs", names_of(graph, inputs),
                     "; expected one, or a shape for each"));
}

std::vector<Parameter> parameters(const Graph& graph) {
  std::vector<Parameter> result;
  for (const Node& node : graph.nodes()) {
    for (Parameter& parameter : parameters(node.name, node.op)) {
      result.push_back(std::move(parameter));
    }
  }
  return result;
}

std::int64_t count_parameters(const Graph& graph) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters(graph)) {
    if (parameter.trainable) count += element_count(parameter.shape);
  }
  return count;
}

std::int64_t count_macs(const Graph& graph, const Shape& input_shape) {
  return sum_macs(graph, input_shape, true);
}

std::int64_t count_attention_macs(const Graph& graph, const Shape& input_shape) {
  return sum_macs(graph, input_shape, false);
}

namespace {

// Throws Error naming the first element that is no number that the parameter may hold.
void check_values(const Parameter& parameter, const Tensor& tensor) {
  if (!parameter.largest) return;
  const float* values = tensor.f32();
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    const auto value = static_cast<double>(values[i]);
    const bool integer = !parameter.integers || value == std::rint(value);
    if (integer && std::abs(value) <= *parameter.largest) continue;
    throw Error(concat("[network] weight ", parameter.name, " holds ", value, " at ", i,
                       "; expected ", parameter.integers ? "integers" : "numbers", " of at most ",
                       *parameter.largest));
  }
}

}  // namespace

void check_weights(const Network& network) {
  std::set<std::string> expected;
  for (const Parameter& parameter : parameters(network.graph)) {
    expected.insert(parameter.name);
    const Tensor& found = network.weight(parameter.name);
    if (found.shape() != parameter.shape || found.dtype() != parameter.dtype) {
      throw Error(concat("[network] weight ", parameter.name, " is ", to_string(found.dtype()), " ",
                         to_string(found.shape()), "; expected ", to_string(parameter.dtype), " ",
                         to_string(parameter.shape)));
    }
    check_values(parameter, found);
  }
  for (const auto& [name, tensor] : network.weights) {
    if (!expected.count(name)) {
      throw Error(concat("[network] weight ", name, " ", to_string(tensor.shape()),
                         " is not part of the graph"));
    }
  }
}

}  // namespace mobileone
