// Plan: compiling, running, timing.
#include "mobileone/plan/plan.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/engine.hpp"
#include "mobileone/train/running_statistics.hpp"

namespace mobileone::python {

namespace {

bool is_fused(const std::string& backend) {
  if (backend == "auto" || backend == "onednn") return backend == "auto";
  throw Error(concat("[compile] backend is '", backend, "'; expected 'auto' or 'onednn'"));
}

Algorithm to_algorithm(const std::string& name) {
  if (name == "auto") return Algorithm::automatic;
  if (name == "direct") return Algorithm::direct;
  if (name == "strassen") return Algorithm::strassen;
  throw Error(
      concat("[compile] algorithm is '", name, "'; expected 'auto', 'direct' or 'strassen'"));
}

// Owns a plan; gives the GIL up while the plan is made, run and destroyed.
class PyPlan {
 public:
  PyPlan(const PyNetwork& network, const py::sequence& input_shape,
         const std::vector<std::string>& outputs, int threads, bool training,
         const std::string& backend, const std::string& algorithm, std::uint64_t dropout_seed)
      : network_(network.network) {
    const Shape shape = to_shape(input_shape);
    CompileOptions options;
    options.threads = threads;
    options.training = training;
    options.dropout_seed = dropout_seed;
    options.fused = is_fused(backend);
    options.algorithm = to_algorithm(algorithm);
    for (const std::string& name : outputs) {
      options.outputs.push_back(network_->graph.find(name));
    }
    const py::gil_scoped_release release;
    plan_ = compile(network_, network.packed, shape, options);
  }
  explicit PyPlan(std::shared_ptr<const Plan> plan)
      : network_(plan->network()), plan_(std::move(plan)) {}
  ~PyPlan() {
    const py::gil_scoped_release release;
    plan_.reset();
  }
  PyPlan(const PyPlan&) = delete;
  PyPlan& operator=(const PyPlan&) = delete;

  const Plan& plan() const { return *plan_; }

  void run(py::array input, const py::list& outputs) const {
    const Pointers pointers(*this, input, outputs);
    const py::gil_scoped_release release;
    plan_->run(pointers.input, pointers.outputs.data());
  }

  py::array_t<std::int64_t> time(py::array input, const py::list& outputs, int runs) const {
    const Pointers pointers(*this, input, outputs);
    std::vector<std::int64_t> times;
    {
      const py::gil_scoped_release release;
      times = plan_->time(pointers.input, pointers.outputs.data(), runs);
    }
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(times.size()), times.data());
  }

  py::tuple profile(py::array input, const py::list& outputs, int runs) const {
    const Pointers pointers(*this, input, outputs);
    PlanProfile profile;
    {
      const py::gil_scoped_release release;
      profile = plan_->profile(pointers.input, pointers.outputs.data(), runs);
    }
    return py::make_tuple(profile.step_ns, profile.wall_ns);
  }

  // Batch statistics come after the wanted outputs: mean, variance of each batch norm that ran.
  PyNetwork update_running_statistics(const py::list& statistics) const {
    const Graph& graph = network_->graph;
    const std::vector<Shape> shapes = infer_shapes(graph, plan_->input_shape());
    std::vector<BatchStatistics> batch;
    std::size_t index = 0;
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
      if (!std::holds_alternative<BatchNorm>(graph.node(id).op)) continue;
      if (index + 1 >= statistics.size()) break;  // nodes after the last wanted output
      const Shape& shape = shapes[static_cast<std::size_t>(id)];
      auto mean = statistics[index].cast<py::array>();
      auto variance = statistics[index + 1].cast<py::array>();
      batch.push_back({id, shape[0] * shape[2] * shape[3],
                       checked_data(mean, {shape[1]}, "batch mean", false),
                       checked_data(variance, {shape[1]}, "batch variance", false)});
      index += 2;
    }
    const py::gil_scoped_release release;
    return {
        std::make_shared<const Network>(mobileone::update_running_statistics(*network_, batch))};
  }

 private:
  struct Pointers {
    Pointers(const PyPlan& self, py::array& in, const py::list& out) {
      const auto& shapes = self.plan_->output_shapes();
      if (out.size() != shapes.size()) {
        throw Error(concat("[run] ", out.size(), " output arrays; expected ", shapes.size()));
      }
      input = checked_data(in, self.plan_->input_shape(), "input", false);
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        auto array = out[i].cast<py::array>();
        outputs.push_back(checked_data(array, shapes[i], concat("output ", i), true));
      }
    }
    const float* input;
    std::vector<float*> outputs;
  };

  std::shared_ptr<const Network> network_;
  std::shared_ptr<const Plan> plan_;
};

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

}  // namespace

// key -> (offset, bytes) in the file.
using Entries = std::map<std::string, std::pair<std::size_t, std::size_t>>;
// pointwise convolution -> (algorithm, rows per tile, parts of its columns, weights stay in L2).
using PyTilings = std::map<std::string, std::tuple<std::string, int, int, bool>>;

PyTilings tilings_of(const PyPlan& self) {
  PyTilings result;
  for (const auto& [name, tiling] : self.plan().tilings()) {
    const bool strassen = tiling.algorithm == kernels::Algorithm::kStrassen;
    result[name] = {strassen ? "strassen" : "direct", tiling.tile_rows, tiling.column_parts,
                    tiling.weights_stay};
  }
  return result;
}

Tilings to_tilings(const PyTilings& tilings) {
  Tilings result;
  for (const auto& [name, fields] : tilings) {
    const auto& [algorithm, rows, parts, stay] = fields;
    const bool strassen = to_algorithm(algorithm) == mobileone::Algorithm::strassen;
    result[name] = {strassen ? kernels::Algorithm::kStrassen : kernels::Algorithm::kDirect, rows,
                    parts, stay};
  }
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

std::unique_ptr<PyPlan> restore_plan(const Graph& graph, const std::string& path,
                                     const Entries& entries, const py::sequence& input_shape,
                                     int threads, const PyTilings& tilings) {
  const Shape shape = to_shape(input_shape);
  CompileOptions options;
  options.threads = threads;
  options.outputs = {graph.output};
  // Without any, they would be chosen anew, and need not be those that the weights are packed for.
  if (tilings.empty()) throw Error("[plan] has no tilings; expected one for every pair");
  options.tilings = to_tilings(tilings);
  const py::gil_scoped_release release;
  std::map<std::string, MappedWeights::Entry> places;
  for (const auto& [key, place] : entries) places[key] = {place.first, place.second};
  return std::make_unique<PyPlan>(
      restore(graph, MappedWeights(path, std::move(places)), shape, options));
}

void bind_plan(py::module_& module) {
  module.def("restore_plan", &restore_plan, py::arg("graph"), py::arg("path"), py::arg("entries"),
             py::arg("input_shape"), py::arg("threads"), py::arg("tilings"),
             "The plan of a graph on weights packed before: key -> (offset, bytes) in the file.");
  py::class_<PyPlan>(module, "Plan", "A network compiled for one input shape. Thread-safe.")
      .def(py::init<const PyNetwork&, const py::sequence&, const std::vector<std::string>&, int,
                    bool, const std::string&, const std::string&, std::uint64_t>(),
           py::arg("network"), py::arg("input_shape"), py::arg("outputs"), py::arg("threads"),
           py::arg("training") = false, py::arg("backend") = "auto", py::arg("algorithm") = "auto",
           py::arg("dropout_seed") = 0)
      .def_property_readonly("input_shape",
                             [](const PyPlan& self) { return to_tuple(self.plan().input_shape()); })
      .def_property_readonly("output_shapes",
                             [](const PyPlan& self) {
                               py::list shapes;
                               for (const Shape& shape : self.plan().output_shapes()) {
                                 shapes.append(to_tuple(shape));
                               }
                               return shapes;
                             })
      .def_property_readonly("threads", [](const PyPlan& self) { return self.plan().threads(); })
      .def_property_readonly("steps", &steps_of, "What runs, in order: one dict per step.")
      .def_property_readonly("tilings", &tilings_of,
                             "How each fused pair of convolutions is cut up, by name.")
      .def_property_readonly("packed_weights", &packed_weights_of,
                             "Read-only views of the weights that the steps read, by key.")
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
      .def("update_running_statistics", &PyPlan::update_running_statistics, py::arg("statistics"),
           "The network after a training run that wrote these batch statistics.");
}

}  // namespace mobileone::python
