#include "attributes.hpp"

#include <pybind11/stl.h>

#include "mobileone/base/error.hpp"

namespace mobileone::python {

namespace {

bool is_integer(const py::handle& value) {
  return PyIndex_Check(value.ptr()) != 0 && !py::isinstance<py::bool_>(value);
}

std::int64_t to_integer(const py::handle& value, const std::string& where) {
  const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  const std::int64_t result = integer ? PyLong_AsLongLong(integer.ptr()) : -1;
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    if (PyNumber_Check(value.ptr()) != 0 && !py::isinstance<py::iterable>(value)) {
      return py::float_(py::reinterpret_borrow<py::object>(value))
          .cast<double>();  // NumPy's scalars
    }
    throw Error(concat(where, " is ", py::repr(value).cast<std::string>(),
                       "; expected an integer of 64 bits"));
  }
  return result;
}

// Of a list, a tuple, or whatever else has elements; false if one is no integer.
bool read_integers(const py::handle& value, const std::string& where, Integers& result) {
  for (const py::handle& element : py::iter(value)) {
    if (!is_integer(element)) return false;
    result.push_back(to_integer(element, where));
  }
  return true;
}

bool read_named_integers(const py::dict& value, const std::string& where, IntegersByName& result) {
  for (const auto& [key, element] : value) {
    if (!py::isinstance<py::str>(key) || !is_integer(element)) return false;
    result[key.cast<std::string>()] = to_integer(element, where);
  }
  return true;
}

}  // namespace

Attribute to_attribute(const py::handle& value, const std::string& where) {
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (is_integer(value)) return to_integer(value, where);
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  IntegersByName named;
  if (py::isinstance<py::dict>(value)) {
    if (read_named_integers(value.cast<py::dict>(), where, named)) return named;
  } else if (Integers integers;
             py::isinstance<py::iterable>(value) && read_integers(value, where, integers)) {
    return integers;
  }
  if (PyNumber_Check(value.ptr()) != 0 && !py::isinstance<py::iterable>(value)) {
    return py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>();  // NumPy's scalars
  }
  throw Error(concat(where, " is ", py::repr(value).cast<std::string>(),
                     "; expected a bool, a number, a string, integers or integers by name"));
}

Attributes to_attributes(const py::dict& values, const std::string& where) {
  Attributes result;
  for (const auto& [key, value] : values) {
    const auto name = key.cast<std::string>();
    result.emplace_back(name, to_attribute(value, where + name));
  }
  return result;
}

py::dict to_dict(const Attributes& attributes) {
  py::dict result;
  for (const auto& [name, value] : attributes) result[py::str(name)] = py::cast(value);
  return result;
}

}  // namespace mobileone::python
