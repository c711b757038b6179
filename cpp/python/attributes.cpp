#include "attributes.hpp"

#include <pybind11/stl.h>

namespace mobileone::python {

namespace py = pybind11;

py::dict to_dict(const Attributes& attributes) {
  py::dict result;
  for (const auto& [name, value] : attributes) result[py::str(name)] = py::cast(value);
  return result;
}

}  // namespace mobileone::python
