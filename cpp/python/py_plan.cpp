#include "py_plan.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <utility>

#include "arrays.hpp"
#include "compile_options.hpp"
#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/engine.hpp"

namespace mobileone::python {

std::vector<Shape> wanted_shapes(const Plan& plan) {
  std::vector<Shape> shapes;
  for (const PlanOutput& output : plan.outputs()) {
    if (!output.is_statistic()) shapes.push_back(output.shape);
  }
  return shapes;
}

// The addresses of arrays that are what the plan reads and writes; throws Error for others.
struct PyPlan::Pointers {
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

PyPlan::PyPlan(const PyNetwork& network, const py::sequence& input_shape,
               const std::vector<std::string>& outputs, int threads, bool training,
               const std::string& backend, const std::string& algorithm, bool gradients,
               const std::string& train_path, const Records& choices, const std::string& dtype,
               bool outer_loss, bool single_run)
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
  plan_ = compile(network_, network.packed, shape, options, single_run ? Runs::one : Runs::many);
}

PyPlan::PyPlan(std::shared_ptr<const Plan> plan)
    : network_(plan->network()), plan_(std::move(plan)) {}

PyPlan::~PyPlan() {
  const GilRelease release;
  plan_.reset();
}

void PyPlan::run(py::array input, const py::list& outputs) const {
  const Pointers pointers(*this, input, outputs);
  const GilRelease release;
  plan_->run(pointers.input, pointers.outputs.data());
}

py::array_t<std::int64_t> PyPlan::time(py::array input, const py::list& outputs, int runs) const {
  const Pointers pointers(*this, input, outputs);
  std::vector<std::int64_t> times;
  {
    const GilRelease release;
    times = plan_->time(pointers.input, pointers.outputs.data(), runs);
  }
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(times.size()), times.data());
}

py::tuple PyPlan::profile(py::array input, const py::list& outputs, int runs) const {
  const Pointers pointers(*this, input, outputs);
  PlanProfile profile;
  {
    const GilRelease release;
    profile = plan_->profile(pointers.input, pointers.outputs.data(), runs);
  }
  return py::make_tuple(profile.step_ns, profile.wall_ns);
}

PyNetwork PyPlan::train_forward(const PyNetwork& network, py::array input, const py::list& outputs,
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

// The loss that a function () -> (value, gradients of the wanted outputs) computes.
OuterLoss PyPlan::outer_loss(const py::function& function) const {
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
Shape PyPlan::logits_shape() const {
  for (const PlanOutput& output : plan_->outputs()) {
    if (output.kind == PlanOutput::Kind::value && output.node == network_->graph.output) {
      return output.shape;
    }
  }
  return {};
}

}  // namespace mobileone::python
