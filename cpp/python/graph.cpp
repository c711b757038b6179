// Graph, Node and Network.
#include "mobileone/graph/graph.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"

namespace mobileone::python {

namespace {

struct Attributes {
  py::dict operator()(const Input& op) const {
    py::dict result;
    result["channels"] = op.channels;
    return result;
  }
  py::dict operator()(const Conv2d& op) const {
    py::dict result;
    result["in_channels"] = op.in_channels;
    result["out_channels"] = op.out_channels;
    result["kernel_size"] = op.kernel;
    result["stride"] = op.stride;
    result["padding"] = op.padding;
    result["dilation"] = op.dilation;
    result["groups"] = op.groups;
    result["bias"] = op.bias;
    return result;
  }
  py::dict operator()(const BatchNorm& op) const {
    py::dict result;
    result["channels"] = op.channels;
    result["eps"] = op.eps;
    result["momentum"] = op.momentum;
    return result;
  }
  py::dict operator()(const Activation& op) const {
    py::dict result;
    result["kind"] = to_string(op.kind);
    return result;
  }
  py::dict operator()(const DynamicMax& op) const {
    py::dict result;
    result["channels"] = op.channels;
    result["pieces"] = op.pieces;
    result["terms"] = op.terms;
    result["groups"] = op.groups;
    result["offsets"] = op.offsets;
    result["shared"] = op.shared;
    return result;
  }
  py::dict operator()(const Linear& op) const {
    py::dict result;
    result["in_features"] = op.in_features;
    result["out_features"] = op.out_features;
    result["bias"] = op.bias;
    return result;
  }
  py::dict operator()(const LayerNorm& op) const {
    py::dict result;
    result["channels"] = op.channels;
    result["eps"] = op.eps;
    return result;
  }
  py::dict operator()(const Attention& op) const {
    py::dict result;
    result["heads"] = op.heads;
    return result;
  }
  py::dict operator()(const Unfold& op) const { return patch_of(op.patch); }
  py::dict operator()(const Fold& op) const { return patch_of(op.patch); }
  py::dict operator()(const Resize& op) const {
    py::dict result;
    result["multiple"] = op.multiple;
    return result;
  }
  py::dict operator()(const Dropout& op) const {
    py::dict result;
    result["p"] = op.p;
    return result;
  }
  static py::dict patch_of(const Extent& patch) {
    py::dict result;
    result["patch"] = patch;
    return result;
  }
  template <typename WithoutAttributes>
  py::dict operator()(const WithoutAttributes&) const {
    return {};
  }
};

py::list nodes_of(const Graph& graph) {
  py::list result;
  for (const Node& node : graph.nodes()) {
    std::vector<std::string> inputs;
    for (NodeId input : node.inputs) inputs.push_back(graph.node(input).name);
    py::dict entry;
    entry["name"] = node.name;
    entry["kind"] = kind_name(node.op);
    entry["inputs"] = inputs;
    entry["attributes"] = std::visit(Attributes{}, node.op);
    result.append(entry);
  }
  return result;
}

py::list parameters_of(const Graph& graph) {
  py::list result;
  for (const Parameter& parameter : parameters(graph)) {
    result.append(py::make_tuple(parameter.name, to_tuple(parameter.shape),
                                 to_string(parameter.dtype), parameter.trainable));
  }
  return result;
}

std::vector<std::string> feature_names(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId id : graph.features) names.push_back(graph.node(id).name);
  return names;
}

// Copies the arrays: a caller who changes them later, or a file that is overwritten, does not
// change a network.
PyNetwork make_network(const Graph& graph, const py::dict& weights) {
  auto network = std::make_shared<Network>();
  network->graph = graph;
  for (const auto& [key, value] : weights) {
    const auto name = key.cast<std::string>();
    network->weights.emplace(name, to_tensor(py::array::ensure(value), name));
  }
  check_weights(*network);
  return {std::move(network)};
}

py::dict weights_of(const PyNetwork& self) {
  py::dict result;
  for (const Parameter& parameter : parameters(self.network->graph)) {
    result[py::str(parameter.name)] = to_array(self.network->weight(parameter.name));
  }
  return result;
}

}  // namespace

void bind_graph(py::module_& module) {
  py::class_<Graph>(module, "Graph", "Operators in topological order.")
      .def_property_readonly("nodes", &nodes_of,
                             "Per node a dict: name, kind, inputs (names), attributes.")
      .def("parameters", &parameters_of,
           "(name, shape, dtype, trainable) of every weight, in node order.")
      .def_property_readonly("feature_names", &feature_names,
                             "Nodes of the stem's and the stages' outputs.")
      .def_property_readonly("output_name",
                             [](const Graph& self) { return self.node(self.output).name; })
      .def_property_readonly("num_params", &count_parameters, "Trainable parameters.")
      .def(
          "macs",
          [](const Graph& self, const py::sequence& shape) {
            return count_macs(self, to_shape(shape));
          },
          py::arg("input_shape"), "Multiply-accumulates of convolutions and linear layers.")
      .def(
          "attention_macs",
          [](const Graph& self, const py::sequence& shape) {
            return count_attention_macs(self, to_shape(shape));
          },
          py::arg("input_shape"),
          "Multiply-accumulates of attention's two matrix products, which `macs` leaves out.")
      .def(
          "shapes",
          [](const Graph& self, const py::sequence& shape) {
            py::dict result;
            const std::vector<Shape> shapes = infer_shapes(self, to_shape(shape));
            for (std::size_t id = 0; id < shapes.size(); ++id) {
              result[py::str(self.nodes()[id].name)] = to_tuple(shapes[id]);
            }
            return result;
          },
          py::arg("input_shape"), "Shape of every node's result, by name.");

  py::class_<PyNetwork>(module, "Network", "A graph with its weights. Immutable.")
      .def(py::init(&make_network), py::arg("graph"), py::arg("weights"),
           "Copies the weights; ValueError names the first that is missing, extra or misshaped.")
      .def_property_readonly("graph", [](const PyNetwork& self) { return self.network->graph; })
      .def("weights", &weights_of, "Read-only views by name, in node order.");
}

}  // namespace mobileone::python
