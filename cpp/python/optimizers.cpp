// Updates of weights in place.
#include "mobileone/train/optimizers.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/base/spread.hpp"

namespace mobileone::python {

namespace {

// The i-th of several lists of arrays of the same shapes; `second` may be empty.
std::vector<TrainedWeight> trained_weights(const py::list& weights, const py::list& gradients,
                                           const py::list& first, const py::list& second,
                                           const std::vector<double>& decays) {
  const std::size_t count = weights.size();
  if (gradients.size() != count || first.size() != count || decays.size() != count ||
      (!second.empty() && second.size() != count)) {
    throw Error(concat("[optimizer] ", count, " weights, ", gradients.size(), " gradients, ",
                       first.size(), " and ", second.size(), " states, ", decays.size(),
                       " decays; expected as many of each"));
  }
  std::vector<TrainedWeight> result;
  for (std::size_t i = 0; i < count; ++i) {
    auto weight = weights[i].cast<py::array>();
    const Shape shape = shape_of(weight);
    const auto data = [&](const py::list& list, const char* what, bool writeable) {
      auto array = list[i].cast<py::array>();
      return checked_data(array, shape, concat(what, " ", i), writeable);
    };
    result.push_back({data(weights, "weight", true), data(gradients, "gradient", false),
                      data(first, "state", true),
                      second.empty() ? nullptr : data(second, "second state", true),
                      element_count(shape), decays[i]});
  }
  return result;
}

void sgd_update(const py::list& weights, const py::list& gradients, const py::list& momenta,
                const std::vector<double>& decays, double rate, double momentum, bool nesterov,
                int threads) {
  const auto trained = trained_weights(weights, gradients, momenta, py::list(), decays);
  const GilRelease release;
  update(Sgd{rate, momentum, nesterov}, trained, shared_pool(threads));
}

void adamw_update(const py::list& weights, const py::list& gradients, const py::list& means,
                  const py::list& squares, const std::vector<double>& decays, double rate,
                  const std::pair<double, double>& betas, double epsilon, std::int64_t updates,
                  int threads) {
  const auto trained = trained_weights(weights, gradients, means, squares, decays);
  const GilRelease release;
  update(AdamW{rate, betas.first, betas.second, epsilon, updates}, trained, shared_pool(threads));
}

}  // namespace

void bind_optimizers(py::module_& module) {
  module.def("sgd_update", &sgd_update, py::arg("weights"), py::arg("gradients"),
             py::arg("momenta"), py::arg("decays"), py::arg("rate"), py::arg("momentum"),
             py::arg("nesterov") = false, py::arg("threads") = 1,
             "One step of torch.optim.SGD, in place; decays: a coefficient per weight.");
  module.def("adamw_update", &adamw_update, py::arg("weights"), py::arg("gradients"),
             py::arg("means"), py::arg("squares"), py::arg("decays"), py::arg("rate"),
             py::arg("betas"), py::arg("epsilon"), py::arg("updates"), py::arg("threads") = 1,
             "One step of torch.optim.AdamW, in place; updates: with this one.");
}

}  // namespace mobileone::python
