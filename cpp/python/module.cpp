// mobileone._core: registers everything, holds nothing.
#include <pybind11/pybind11.h>

#include "bindings.hpp"
#include "mobileone/base/error.hpp"

namespace py = pybind11;

// Runs on behalf of PyInit__core, in the main interpreter only.
PYBIND11_MODULE(_core_main, module) {
  module.doc() =
      "The C++ engine of mobileone. Private: use the functions of the mobileone package.";
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const mobileone::NotSupported& error) {
      py::set_error(PyExc_NotImplementedError, error.what());
    } catch (const mobileone::NotFinite& error) {
      py::set_error(PyExc_FloatingPointError, error.what());
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
  mobileone::python::bind_optimizers(module);
  mobileone::python::bind_plan(module);
  mobileone::python::bind_stored_plan(module);
  mobileone::python::bind_reference(module);
  mobileone::python::bind_system(module);
  mobileone::python::bind_vision(module);
  mobileone::python::bind_training(module);
}

// The exported entry point. pybind11's own waits for ever in a subinterpreter below Python 3.12,
// and the types that it registers belong to one interpreter above.
extern "C" [[gnu::visibility("default")]] PyObject* PyInit__core() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_ImportError,
                    "mobileone._core cannot be imported in a subinterpreter; expected the main one "
                    "(use threads or processes: the engine releases the GIL)");
    return nullptr;
  }
  return PyInit__core_main();
}
