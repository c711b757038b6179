// JSON text as Python's objects.
#pragma once

#include <pybind11/pybind11.h>

namespace mobileone::python {

// Of bytes. Throws Error as parse_json does.
pybind11::object json_of(const pybind11::bytes& text);

}  // namespace mobileone::python
