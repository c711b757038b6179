// Plan: compiling, running, timing.
#include "mobileone/plan/plan.hpp"

#include <pybind11/stl.h>

#include <algorithm>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "json.hpp"
#include "mobileone/base/checksum.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/engine.hpp"

namespace mobileone::python {

namespace {

BackendChoice to_backend(const std::string& name) {
  if (name == "auto" || name == "emulated") return BackendChoice::automatic;
  if (name == "onednn") return BackendChoice::onednn;
  if (name == "loops") return BackendChoice::loops;
  throw Error(concat("[compile] backend is '", name,
                     "'; expected 'auto', 'onednn', 'loops' or 'emulated'"));
}

Algorithm to_algorithm(const std::string& name) {
  if (name == "auto") return Algorithm::automatic;
  if (name == "direct") return Algorithm::direct;
  if (name == "strassen") return Algorithm::strassen;
  throw Error(
      concat("[compile] algorithm is '", name, "'; expected 'auto', 'direct' or 'strassen'"));
}

PlanArithmetic to_arithmetic(const std::string& dtype, const std::string& backend) {
  const bool emulated = backend == "emulated";
  if (dtype == "float32" && !emulated) return PlanArithmetic::float32;
  if (dtype == "float32") {
    throw Error("[compile] backend is 'emulated' and dtype 'float32'; expected 'bfloat16'");
  }
  if (dtype != "bfloat16") {
    throw Error(concat("[compile] dtype is '", dtype, "'; expected 'float32' or 'bfloat16'"));
  }
  if (!emulated && backend != "auto") {
    throw Error(concat("[compile] dtype is 'bfloat16' and backend '", backend,
                       "'; expected 'auto' or 'emulated'"));
  }
  return emulated ? PlanArithmetic::emulated_bfloat16 : PlanArithmetic::bfloat16;
}

TrainPath to_train_path(const std::string& name) {
  if (name == "auto") return TrainPath::automatic;
  if (name == "moments") return TrainPath::moments;
  if (name == "branches") return TrainPath::branches;
  throw Error(
      concat("[compile] train_path is '", name, "'; expected 'auto', 'moments' or 'branches'"));
}

// Of the outputs that Python gets: batch statistics are the engine's own.
std::vector<Shape> wanted_shapes(const Plan& plan) {
  std::vector<Shape> shapes;
  for (const PlanOutput& output : plan.outputs()) {
    if (!output.is_statistic()) shapes.push_back(output.shape);
  }
  return shapes;
}

// Owns a plan; gives the GIL up while the plan is made, run and destroyed.
class PyPlan {
 public:
  PyPlan(const PyNetwork& network, const py::sequence& input_shape,
         const std::vector<std::string>& outputs, int threads, bool training,
         const std::string& backend, const std::string& algorithm, bool gradients,
         const std::string& train_path, const Records& choices, const std::string& dtype,
         bool outer_loss)
      : network_(network.network) {
    const Shape shape = to_shape(input_shape);
    CompileOptions options;
    options.threads = threads;
    options.training = training;
    options.backend = to_backend(backend);
    options.algorithm = to_algorithm(algorithm);
    options.arithmetic = to_arithmetic(dtype, backend);
    options.gradients = gradients;
    options.outer_loss = outer_loss;
    options.train_path = to_train_path(train_path);
    options.choices = choices;
    for (const std::string& name : outputs) {
      options.outputs.push_back(network_->graph.find(name));
    }
    const GilRelease release;
    plan_ = compile(network_, network.packed, shape, options);
  }
  explicit PyPlan(std::shared_ptr<const Plan> plan)
      : network_(plan->network()), plan_(std::move(plan)) {}
  ~PyPlan() {
    const GilRelease release;
    plan_.reset();
  }
  PyPlan(const PyPlan&) = delete;
  PyPlan& operator=(const PyPlan&) = delete;

  const Plan& plan() const { return *plan_; }

  void run(py::array input, const py::list& outputs) const {
    const Pointers pointers(*this, input, outputs);
    const GilRelease release;
    plan_->run(pointers.input, pointers.outputs.data());
  }

  py::array_t<std::int64_t> time(py::array input, const py::list& outputs, int runs) const {
    const Pointers pointers(*this, input, outputs);
    std::vector<std::int64_t> times;
    {
      const GilRelease release;
      times = plan_->time(pointers.input, pointers.outputs.data(), runs);
    }
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(times.size()), times.data());
  }

  py::tuple profile(py::array input, const py::list& outputs, int runs) const {
    const Pointers pointers(*this, input, outputs);
    PlanProfile profile;
    {
      const GilRelease release;
      profile = plan_->profile(pointers.input, pointers.outputs.data(), runs);
    }
    return py::make_tuple(profile.step_ns, profile.wall_ns);
  }

  PyNetwork train_forward(const PyNetwork& network, py::array input, const py::list& outputs,
                          std::uint64_t dropout_seed, std::optional<py::array> targets,
                          const std::optional<py::function>& loss) const {
    const Pointers pointers(*this, input, outputs);
    const float* const wanted =
        targets ? checked_data(*targets, logits_shape(), "targets", false) : nullptr;
    OuterLoss outer;
    if (loss) outer = outer_loss(*loss);
    const GilRelease release;
    return {std::make_shared<const Network>(
        mobileone::train_forward(*plan_, *network.network, pointers.input, pointers.outputs,
                                 dropout_seed, wanted, loss ? &outer : nullptr))};
  }

 private:
  // The loss that a function () -> (value, gradients of the wanted outputs) computes.
  OuterLoss outer_loss(const py::function& function) const {
    std::vector<Shape> shapes;
    for (const PlanOutput& output : plan_->outputs()) {
      if (output.kind == PlanOutput::Kind::value) shapes.push_back(output.shape);
    }
    return [function, shapes](const std::vector<float*>& places) {
      const py::gil_scoped_acquire acquire;
      const auto [value, gradients] = function().cast<std::pair<double, std::vector<py::array>>>();
      if (gradients.size() != places.size()) {
        throw Error(concat("[loss] ", gradients.size(), " gradients; expected ", places.size()));
      }
      for (std::size_t i = 0; i < places.size(); ++i) {
        py::array given = gradients[i];
        const float* const data = checked_data(given, shapes[i], concat("gradient ", i), false);
        std::copy_n(data, element_count(shapes[i]), places[i]);
      }
      return value;
    };
  }

  // Of the loss's input.
  Shape logits_shape() const {
    for (const PlanOutput& output : plan_->outputs()) {
      if (output.kind == PlanOutput::Kind::value && output.node == network_->graph.output) {
        return output.shape;
      }
    }
    return {};
  }

  struct Pointers {
    Pointers(const PyPlan& self, py::array& in, const py::list& out) {
      const std::vector<Shape> shapes = wanted_shapes(*self.plan_);
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

// key -> (offset, bytes, checksum) in the file.
using Entries = std::map<std::string, std::tuple<std::size_t, std::size_t, std::uint32_t>>;
py::dict packed_weights_of(const PyPlan& self) {
  py::dict result;
  for (const auto& [key, weight] : self.plan().packed_weights()) {
    const Tensor bytes({static_cast<std::int64_t>(weight.bytes / sizeof(float))}, DType::float32,
                       weight.data);
    result[py::str(key)] = to_array(bytes);
  }
  return result;
}

std::shared_ptr<MappedWeights> map_weights(const std::string& path, const Entries& entries) {
  std::map<std::string, MappedWeights::Entry> places;
  for (const auto& [key, place] : entries) {
    const auto& [offset, bytes, sum] = place;
    places[key] = {offset, bytes, sum};
  }
  const GilRelease release;
  return std::make_shared<MappedWeights>(path, std::move(places));
}

std::unique_ptr<PyPlan> restore_plan(const Graph& graph,
                                     const std::shared_ptr<MappedWeights>& weights,
                                     const py::sequence& input_shape, int threads,
                                     const Records& records, const std::string& dtype) {
  const Shape shape = to_shape(input_shape);
  CompileOptions options;
  options.arithmetic = to_arithmetic(dtype, "auto");
  options.threads = threads;
  options.outputs = {graph.output};
  options.records = records;
  const GilRelease release;
  return std::make_unique<PyPlan>(restore(graph, weights, shape, options));
}

void bind_plan(py::module_& module) {
  py::class_<MappedWeights, std::shared_ptr<MappedWeights>>(
      module, "MappedWeights", "Packed weights in a file, mapped and used in place.")
      .def(py::init(&map_weights), py::arg("path"), py::arg("entries"),
           "key -> (offset, bytes, checksum) in the file. ValueError when any does not fit, and as "
           "of verify.")
      .def("check_unwritten", &MappedWeights::check_unwritten,
           "ValueError when the file was written to since it was mapped.")
      .def("verify", &MappedWeights::verify, py::call_guard<GilRelease>(),
           "ValueError naming the first weights that are no longer what was stored.");
  module.def("restore_plan", &restore_plan, py::arg("graph"), py::arg("weights"),
             py::arg("input_shape"), py::arg("threads"), py::arg("records"),
             py::arg("dtype") = "float32", "The plan of a graph on weights packed before.");
  module.def(
      "checksum",
      [](const py::buffer& data) {
        const py::buffer_info info = data.request();
        if (PyBuffer_IsContiguous(info.view(), 'C') == 0) {
          throw Error("[checksum] expected bytes or a C-order array");
        }
        return checksum(info.ptr, static_cast<std::size_t>(info.size * info.itemsize));
      },
      py::arg("data"), "Of bytes or an array's: what a stored plan knows its parts by.");
  module.def("parse_json", &json_of, py::arg("text"),
             "Python's json.loads of bytes, without what that module costs a cold start; strict: "
             "ValueError, too, for a key that comes twice, NaN, an integer beyond 64 bits, and "
             "more than 32 levels.");
  py::class_<PyPlan>(module, "Plan", "A network compiled for one input shape. Thread-safe.")
      .def(py::init<const PyNetwork&, const py::sequence&, const std::vector<std::string>&, int,
                    bool, const std::string&, const std::string&, bool, const std::string&,
                    const Records&, const std::string&, bool>(),
           py::arg("network"), py::arg("input_shape"), py::arg("outputs"), py::arg("threads"),
           py::arg("training") = false, py::arg("backend") = "auto", py::arg("algorithm") = "auto",
           py::arg("gradients") = false, py::arg("train_path") = "auto",
           py::arg("choices") = Records{}, py::arg("dtype") = "float32",
           py::arg("outer_loss") = false)
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
