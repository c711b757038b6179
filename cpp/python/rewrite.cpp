// Re-parameterization.
#include "mobileone/rewrite/rewrite.hpp"

#include <pybind11/stl.h>

#include "bindings.hpp"
#include "gil.hpp"

namespace mobileone::python {

namespace py = pybind11;

namespace {

template <typename Rewrite>
auto rewriter(Rewrite rewrite) {
  return [rewrite](const PyNetwork& self) {
    const GilRelease release;
    return PyNetwork{std::make_shared<const Network>(rewrite(*self.network))};
  };
}

}  // namespace

void bind_rewrite(py::module_& module) {
  module.def("fold_batch_norm",
             rewriter([](const Network& n) { return round_weights(fold_batch_norm(n)); }),
             py::arg("network"), "Batch norms folded into convolutions.");
  module.def("merge_branches",
             rewriter([](const Network& n) { return round_weights(merge_branches(n)); }),
             py::arg("network"), "Parallel convolutions merged into one.");
  module.def("reparameterize", rewriter(&reparameterize), py::arg("network"),
             "Both, in float64, rounded once.");
  module.def("is_inference_form", &is_inference_form, py::arg("graph"));
}

}  // namespace mobileone::python
