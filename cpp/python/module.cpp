// mobileone._core: registers everything, holds nothing.
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "mobileone/base/error.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
  module.doc() =
      "The C++ engine of mobileone. Private: use the functions of the mobileone package.";
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const mobileone::NotSupported& error) {
      py::set_error(PyExc_NotImplementedError, error.what());
    } catch (const mobileone::Error& error) {
      py::set_error(PyExc_ValueError, error.what());
    } catch (const mobileone::StateError& error) {
      py::set_error(PyExc_RuntimeError, error.what());
    }
  });
  mobileone::python::bind_graph(module);
  mobileone::python::bind_images(module);
  mobileone::python::bind_models(module);
  mobileone::python::bind_rewrite(module);
  mobileone::python::bind_plan(module);
  mobileone::python::bind_reference(module);
  mobileone::python::bind_system(module);
}
