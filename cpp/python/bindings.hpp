// One bind function per area, and the Python-side Network they share.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "mobileone/graph/graph.hpp"
#include "mobileone/plan/weight_cache.hpp"

namespace mobileone::python {

// A network as Python holds it: immutable, with the packed weights that its plans share.
struct PyNetwork {
  std::shared_ptr<const Network> network;
  std::shared_ptr<WeightCache> packed = std::make_shared<WeightCache>();
};

void bind_graph(pybind11::module_& module);
void bind_images(pybind11::module_& module);
void bind_models(pybind11::module_& module);
void bind_rewrite(pybind11::module_& module);
void bind_optimizers(pybind11::module_& module);
void bind_plan(pybind11::module_& module);
void bind_reference(pybind11::module_& module);
void bind_stored_plan(pybind11::module_& module);
void bind_system(pybind11::module_& module);
void bind_vision(pybind11::module_& module);
void bind_training(pybind11::module_& module);

}  // namespace mobileone::python
