// Fields of operators and configurations as Python's dictionaries.
#pragma once

#include <pybind11/pybind11.h>

#include "mobileone/graph/attributes.hpp"

namespace mobileone::python {

pybind11::dict to_dict(const Attributes& attributes);

}  // namespace mobileone::python
