// Fields of operators and configurations as Python's keyword arguments and dictionaries.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "mobileone/graph/attributes.hpp"

namespace mobileone::python {

namespace py = pybind11;

// Takes NumPy's scalars too. Throws Error "<where> is ...; expected ..." for a value that no field
// can have.
Attribute to_attribute(const py::handle& value, const std::string& where);
// Of a dictionary; errors begin with `where` and the key.
Attributes to_attributes(const py::dict& values, const std::string& where);

py::dict to_dict(const Attributes& attributes);

}  // namespace mobileone::python
