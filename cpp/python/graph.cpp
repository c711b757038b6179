// Graph, Node and Network.
#include "mobileone/graph/graph.hpp"

#include <pybind11/operators.h>
#include <pybind11/stl.h>

#include <cstring>

#include "arrays.hpp"
#include "attributes.hpp"
#include "bindings.hpp"
#include "mobileone/graph/builder.hpp"
#include "mobileone/graph/dot.hpp"
#include "mobileone/graph/json.hpp"

namespace mobileone::python {

namespace {

py::list nodes_of(const Graph& graph) {
  py::list result;
  for (const Node& node : graph.nodes()) {
    std::vector<std::string> inputs;
    for (NodeId input : node.inputs) inputs.push_back(graph.node(input).name);
    py::dict entry;
    entry["name"] = node.name;
    entry["kind"] = kind_name(node.op);
    entry["inputs"] = inputs;
    entry["attributes"] = to_dict(attributes_of(node.op));
    result.append(entry);
  }
  return result;
}

// By node: the type of the ONNX operator, its weights' names, its attributes.
py::dict onnx_operators_of(const Graph& graph) {
  py::dict result;
  for (const Node& node : graph.nodes()) {
    const std::optional<OnnxOperator> onnx = onnx_of(node.op);
    if (!onnx) continue;
    std::vector<std::string> weights;
    for (const Parameter& parameter : parameters(node.name, node.op)) {
      if (parameter.dtype == DType::float32) weights.push_back(parameter.name);
    }
    result[py::str(node.name)] = py::make_tuple(onnx->type, weights, to_dict(onnx->attributes));
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

std::vector<std::string> input_names(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId id : graph.inputs()) names.push_back(graph.node(id).name);
  return names;
}

py::dict outputs_of(const Graph& graph) {
  py::dict result;
  for (const Output& output : graph.outputs()) {
    result[py::str(output.key)] = graph.node(output.node).name;
  }
  return result;
}

// Of one shape for the only input, or of shapes by name.
std::vector<Shape> shapes_for(const Graph& graph, const py::object& input_shape) {
  if (!py::isinstance<py::dict>(input_shape)) {
    return infer_shapes(graph, to_shape(input_shape.cast<py::sequence>()));
  }
  ShapesByName shapes;
  for (const auto& [name, shape] : input_shape.cast<py::dict>()) {
    shapes[name.cast<std::string>()] = to_shape(shape.cast<py::sequence>());
  }
  return infer_shapes(graph, shapes);
}

std::string add_node(GraphBuilder& self, const std::string& name, const std::string& kind,
                     const std::vector<std::string>& inputs, const py::kwargs& attributes) {
  self.add(name, kind, inputs, to_attributes(attributes, concat("[", kind, "] ", name, ": ")));
  return name;
}

std::string add_input(GraphBuilder& self, const std::string& name, const std::string& kind,
                      const py::kwargs& attributes) {
  return add_node(self, name, kind, {}, attributes);
}

// Copies the arrays, but those that show a tensor: a caller who changes them later, or a file that
// is overwritten, does not change a network.
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

// Trainable weights in memory of their own, and views that write to it.
py::tuple writeable_copy(const PyNetwork& self) {
  auto copy = std::make_shared<Network>(*self.network);
  py::dict views;
  for (const Parameter& parameter : parameters(copy->graph)) {
    if (!parameter.trainable) continue;
    Tensor& weight = copy->weights.at(parameter.name);
    const auto bytes = static_cast<std::size_t>(weight.size()) * size_of(weight.dtype());
    std::shared_ptr<void> own = allocate_aligned(bytes);
    std::memcpy(own.get(), weight.data(), bytes);
    weight = Tensor(weight.shape(), weight.dtype(), std::move(own));
    views[py::str(parameter.name)] = to_array(weight, true);
  }
  return py::make_tuple(PyNetwork{std::move(copy)}, views);
}

}  // namespace

void bind_graph(py::module_& module) {
  py::class_<Graph>(module, "Graph", "Operators in topological order.")
      .def_property_readonly("nodes", &nodes_of,
                             "Per node a dict: name, kind, inputs (names), attributes.")
      .def_property_readonly(
          "onnx_operators", &onnx_operators_of,
          "Of the nodes that are one ONNX operator, by name: its type, the names\n"
          "of the weights that follow its inputs, and its attributes.")
      .def("parameters", &parameters_of,
           "(name, shape, dtype, trainable) of every weight, in node order.")
      .def_property_readonly("feature_names", &feature_names,
                             "Nodes of the stem's and the stages' outputs.")
      .def_property_readonly(
          "output_name", [](const Graph& self) { return self.node(self.output).name; },
          "The node of the main result.")
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
          [](const Graph& self, const py::object& shape) {
            py::dict result;
            const std::vector<Shape> shapes = shapes_for(self, shape);
            for (std::size_t id = 0; id < shapes.size(); ++id) {
              result[py::str(self.nodes()[id].name)] = to_tuple(shapes[id]);
            }
            return result;
          },
          py::arg("input_shape"),
          "Shape of every node's result, by name; of several inputs a dict of their shapes.")
      .def_property_readonly("input_names", &input_names, "Of the Input nodes, in order.")
      .def_property_readonly("outputs", &outputs_of,
                             "The results' names and their nodes; the main one is the first.")
      .def("to_json", &to_json, "The text that Graph.from_json makes the same graph of.")
      .def_static("from_json", &graph_from_json, py::arg("text"),
                  "ValueError says where the text is no graph.")
      .def("to_dot", &to_dot, "Graphviz's DOT: a box per node, an edge per input.")
      .def(py::self == py::self)
      .def(py::pickle(&to_json, [](const std::string& text) { return graph_from_json(text); }));

  py::class_<GraphBuilder>(module, "GraphBuilder", "Makes a Graph node by node.")
      .def(py::init<>())
      .def(
          "add", &add_node,  // nameless: `name` and `kind` are attributes' names as well
          "Append a node and return its name. Inputs are names of earlier nodes; attributes are\n"
          "those that Graph.nodes shows of this kind, and the ones not given have initial values.\n"
          "ValueError names the node and what is wrong.")
      .def("add", &add_input, "A node without inputs.")
      .def("output", &GraphBuilder::output, py::arg("node"), py::arg("name") = "output",
           "Make the node's result one of the graph's; the first is the main one.")
      .def("feature", &GraphBuilder::feature, py::arg("node"),
           "Make the node's result the next feature level.")
      .def("build", &GraphBuilder::build, "The graph so far; ValueError without an output.");

  py::class_<PyNetwork>(module, "Network", "A graph with its weights. Immutable.")
      .def(py::init(&make_network), py::arg("graph"), py::arg("weights"),
           "Copies the weights, but read-only views of a network's and those of finite_copies; "
           "ValueError names the first that is missing, extra or misshaped.")
      .def_property_readonly("graph", [](const PyNetwork& self) { return self.network->graph; })
      .def("weights", &weights_of, "Read-only views by name, in node order.")
      .def("writeable_copy", &writeable_copy,
           "A copy, and writeable views of its trainable weights by name: what is written there is "
           "what the copy, and what training makes of it, computes with. Plans that have packed "
           "weights before do not see it.");
  module.def("finite_copies", &finite_copies, py::arg("arrays").noconvert(),
             "Of each C-order float32 array a read-only copy, which a Network takes without "
             "copying it again; None if an element is NaN or infinite.");
}

}  // namespace mobileone::python
