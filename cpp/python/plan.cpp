// Plan: compiling, running, timing.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "py_plan.hpp"

namespace mobileone::python {

namespace {

py::list steps_of(const PyPlan& self) {
  py::list result;
  for (const StepInfo& info : self.plan().steps()) {
    py::list inputs;
    for (const Shape& shape : info.input_shapes) inputs.append(to_tuple(shape));
    py::dict entry;
    entry["name"] = info.name;
    entry["kind"] = info.kind;
    entry["implementation"] = info.implementation;
    entry["input_shapes"] = inputs;
    entry["output_shape"] = to_tuple(info.output_shape);
    entry["macs"] = info.macs;
    entry["bytes"] = info.bytes;
    result.append(entry);
  }
  return result;
}

py::dict memory_of(const PyPlan& self) {
  const PlanMemory memory = self.plan().memory();
  py::dict result;
  result["packed_weights"] = memory.packed_weights;
  result["arena"] = memory.arena;
  result["scratch"] = memory.scratch;
  result["contexts"] = memory.contexts;
  return result;
}

py::dict packed_weights_of(const PyPlan& self) {
  py::dict result;
  for (const auto& [key, weight] : self.plan().packed_weights()) {
    const Tensor bytes({static_cast<std::int64_t>(weight.bytes / sizeof(float))}, DType::float32,
                       weight.data);
    result[py::str(key)] = to_array(bytes);
  }
  return result;
}

}  // namespace

void bind_plan(py::module_& module) {
  py::class_<PyPlan>(module, "Plan", "A network compiled for one input shape. Thread-safe.")
      .def(py::init<const PyNetwork&, const py::sequence&, const std::vector<std::string>&, int,
                    bool, const std::string&, const std::string&, bool, const std::string&,
                    const Records&, const std::string&, bool, bool>(),
           py::arg("network"), py::arg("input_shape"), py::arg("outputs"), py::arg("threads"),
           py::arg("training") = false, py::arg("backend") = "auto", py::arg("algorithm") = "auto",
           py::arg("gradients") = false, py::arg("train_path") = "auto",
           py::arg("choices") = Records{}, py::arg("dtype") = "float32",
           py::arg("outer_loss") = false, py::arg("single_run") = false)
      .def_property_readonly("input_shape",
                             [](const PyPlan& self) { return to_tuple(self.plan().input_shape()); })
      .def_property_readonly("output_shapes",
                             [](const PyPlan& self) {
                               py::list shapes;
                               for (const Shape& shape : wanted_shapes(self.plan())) {
                                 shapes.append(to_tuple(shape));
                               }
                               return shapes;
                             })
      .def_property_readonly(
          "gradient_names",
          [](const PyPlan& self) {
            std::vector<std::string> names;
            for (const PlanOutput& output : self.plan().outputs()) {
              if (output.kind == PlanOutput::Kind::gradient) names.push_back(output.weight);
            }
            return names;
          },
          "The weights whose gradients are the last outputs, in their order; before them the loss.")
      .def_property_readonly("threads", [](const PyPlan& self) { return self.plan().threads(); })
      .def_property_readonly("steps", &steps_of, "What runs, in order: one dict per step.")
      .def_property_readonly(
          "records", [](const PyPlan& self) { return self.plan().records(); },
          "What the steps decided, for a stored plan to hand back: by node, integers by name.")
      .def_property_readonly("packed_weights", &packed_weights_of,
                             "Read-only views of the weights that the steps read, by key.")
      .def_property_readonly(
          "bfloat16_nodes",
          [](const PyPlan& self) {
            std::vector<std::string> names;
            const Graph& graph = self.plan().network()->graph;
            for (NodeId id : self.plan().bfloat16_nodes()) names.push_back(graph.node(id).name);
            return names;
          },
          "The convolutions whose operands are rounded to bfloat16.")
      .def_property_readonly(
          "not_storable", [](const PyPlan& self) { return self.plan().not_storable(); },
          "The first operator whose step cannot be stored, or an empty string.")
      .def("memory", &memory_of, "Bytes: packed_weights, arena, scratch; number of contexts.")
      .def("run", &PyPlan::run, py::arg("input"), py::arg("outputs"),
           "Writes every output; arrays are C-contiguous float32 of exactly the plan's shapes.")
      .def("time", &PyPlan::time, py::arg("input"), py::arg("outputs"), py::arg("runs"),
           "Wall time of each run in nanoseconds.")
      .def("profile", &PyPlan::profile, py::arg("input"), py::arg("outputs"), py::arg("runs"),
           "([run][step] nanoseconds, [run] wall nanoseconds).")
      .def(
          "release_idle", [](const PyPlan& self) { self.plan().release_idle(); },
          "Frees the memory of contexts that no run uses.")
      .def(
          "train_forward", &PyPlan::train_forward, py::arg("network"), py::arg("input"),
          py::arg("outputs"), py::arg("dropout_seed"), py::arg("targets") = py::none(),
          py::arg("loss") = py::none(),
          "Of a training plan: runs it on the network's weights, and returns the network with the "
          "running statistics that the batch leaves behind. A plan with gradients takes targets, a "
          "distribution over classes per image; with an outer loss a function that is called when "
          "the wanted outputs are written, and gives its value and their gradients.");
}

}  // namespace mobileone::python
