// The float64 reference executor and the deviations of fp32 rounding errors.
#include "mobileone/reference/reference.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/graph/activations.hpp"
#include "mobileone/reference/cross_entropy.hpp"
#include "mobileone/reference/deviation.hpp"
#include "mobileone/reference/evaluate.hpp"
#include "mobileone/reference/gradients.hpp"
#include "mobileone/reference/settle.hpp"

namespace mobileone::python {

namespace {

using Float64Array = py::array_t<double, py::array::c_style | py::array::forcecast>;

ReferenceTensor to_reference(const Float64Array& array) {
  return {shape_of(array), {array.data(), array.data() + array.size()}};
}

// Of an array for the only input, or of arrays by name.
ReferenceInputs to_inputs(const Graph& graph, const py::object& x) {
  if (!py::isinstance<py::dict>(x)) {
    return reference::only_input(graph, to_reference(x.cast<Float64Array>()));
  }
  ReferenceInputs inputs;
  for (const auto& [name, array] : x.cast<py::dict>()) {
    inputs[name.cast<std::string>()] = to_reference(array.cast<Float64Array>());
  }
  return inputs;
}

py::array to_numpy(const ReferenceTensor& tensor) {
  return py::array_t<double>(tensor.shape, tensor.values.data());
}

py::dict to_dict(const std::map<std::string, ReferenceTensor>& tensors) {
  py::dict result;
  for (const auto& [name, tensor] : tensors) result[py::str(name)] = to_numpy(tensor);
  return result;
}

py::dict to_dict(const RunningStatistics& statistics) {
  py::dict result;
  for (const auto& [name, values] : statistics) {
    result[py::str(name)] =
        py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
  }
  return result;
}

py::dict activation_values(const Float64Array& x) {
  py::dict result;
  for (const ActivationFunction& row : kActivations) {
    ReferenceTensor y = to_reference(x);
    for (double& value : y.values) value = row.value(value);
    result[row.name] = to_numpy(y);
  }
  return result;
}

// Labels (N,) or a distribution (N, classes).
ReferenceTensor to_targets(const py::array& targets, std::int64_t classes) {
  if (targets.ndim() != 1) return to_reference(targets.cast<Float64Array>());
  const char kind = targets.dtype().kind();
  if (kind != 'i' && kind != 'u') {
    throw Error(concat("[cross_entropy] labels have a dtype of kind '", kind,
                       "'; expected integers (batch,), or targets (batch, classes)"));
  }
  return one_hot(targets.cast<std::vector<std::int64_t>>(), classes);
}

std::vector<NodeId> find_all(const Graph& graph, const std::vector<std::string>& names) {
  std::vector<NodeId> ids;
  for (const std::string& name : names) ids.push_back(graph.find(name));
  return ids;
}

Mode mode_of(bool training) { return training ? Mode::train : Mode::eval; }

py::tuple forward(const PyNetwork& self, const py::object& x, const std::vector<std::string>& nodes,
                  bool training, int threads, std::uint64_t dropout_seed) {
  const ReferenceInputs inputs = to_inputs(self.network->graph, x);
  const std::vector<NodeId> ids = find_all(self.network->graph, nodes);
  std::vector<ReferenceTensor> results;
  RunningStatistics updated;
  {
    const GilRelease release;
    results = reference_forward(*self.network, inputs, ids, mode_of(training), &updated, threads,
                                dropout_seed);
  }
  py::list arrays;
  for (const ReferenceTensor& result : results) arrays.append(to_numpy(result));
  return py::make_tuple(arrays, to_dict(updated));
}

py::tuple deviation(const PyNetwork& self, const py::object& x,
                    const std::vector<std::string>& nodes, int samples, std::uint64_t seed,
                    bool training, int threads, std::uint64_t dropout_seed,
                    const std::vector<std::string>& bfloat16) {
  const ReferenceInputs inputs = to_inputs(self.network->graph, x);
  const std::vector<NodeId> ids = find_all(self.network->graph, nodes);
  const std::vector<NodeId> rounded = find_all(self.network->graph, bfloat16);
  DeviationResult result;
  {
    const GilRelease release;
    result = error_deviation(*self.network, inputs, ids, samples, seed, mode_of(training), threads,
                             dropout_seed, rounded);
  }
  const auto to_tuple = [](const Deviation& d) { return py::make_tuple(d.rms, d.local_max); };
  py::list outputs;
  for (const Deviation& output : result.outputs) outputs.append(to_tuple(output));
  py::dict statistics;
  for (const auto& [name, value] : result.statistics) statistics[py::str(name)] = to_tuple(value);
  return py::make_tuple(outputs, statistics);
}

py::tuple gradients(const PyNetwork& self, const py::object& x, const py::array& targets,
                    double label_smoothing, bool training, int threads,
                    std::uint64_t dropout_seed) {
  const Graph& graph = self.network->graph;
  const ReferenceInputs inputs = to_inputs(graph, x);
  ShapesByName shapes;
  for (const auto& [name, tensor] : inputs) shapes[name] = tensor.shape;
  const Shape logits = infer_shapes(graph, shapes)[static_cast<std::size_t>(graph.output)];
  const ReferenceTensor wanted = to_targets(targets, logits.back());
  ReferenceLoss result;
  {
    const GilRelease release;
    result = reference_loss(*self.network, inputs, wanted, label_smoothing, mode_of(training),
                            threads, dropout_seed);
  }
  return py::make_tuple(result.loss, to_dict(result.gradients.weights),
                        to_dict(result.gradients.inputs), to_dict(result.statistics));
}

PyNetwork settled(const PyNetwork& self, int threads) {
  const GilRelease release;
  return {std::make_shared<const Network>(settle(*self.network, threads))};
}

}  // namespace

void bind_reference(py::module_& module) {
  module.def("activation_values", &activation_values, py::arg("x"),
             "The float64 values of every activation at x, by its name.");
  module.def("reference_forward", &forward, py::arg("network"), py::arg("x"), py::arg("nodes"),
             py::arg("training") = false, py::arg("threads") = 0, py::arg("dropout_seed") = 0,
             "Float64 results of the named nodes for x [N, C, H, W], or a dict of the inputs by\n"
             "name, and the running statistics that a training step would leave (empty in eval\n"
             "mode). threads=0: one per CPU.");
  module.def("reference_gradients", &gradients, py::arg("network"), py::arg("x"),
             py::arg("targets"), py::arg("label_smoothing") = 0.0, py::arg("training") = true,
             py::arg("threads") = 0, py::arg("dropout_seed") = 0,
             "The float64 cross entropy of the logits of x, averaged over images; its gradients\n"
             "by every trainable parameter and by every input, each by name; and the running\n"
             "statistics that the step would leave. targets: labels [N] or [N, classes].");
  module.def(
      "rounding_deviation", &deviation, py::arg("network"), py::arg("x"), py::arg("nodes"),
      py::arg("samples") = 4, py::arg("seed") = 0, py::arg("training") = false,
      py::arg("threads") = 0, py::arg("dropout_seed") = 0,
      py::arg("bfloat16") = std::vector<std::string>(),
      "Standard deviations of fp32 rounding errors: (rms, largest local rms) per node,\n"
      "and by name for the updated running statistics (empty in eval mode). bfloat16: nodes\n"
      "whose input and weight are rounded to that as they are read.");
  module.def("settle", &settled, py::arg("network"), py::arg("threads") = 0,
             "The network with running statistics of a fixed noise image, which keep activations\n"
             "near 1 at every layer: for weights that have seen no data. threads=0: one per CPU.");
}

}  // namespace mobileone::python
