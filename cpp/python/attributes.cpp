#include "attributes.hpp"

#include <pybind11/stl.h>

#include <optional>

#include "mobileone/base/error.hpp"

namespace mobileone::python {

namespace {

[[noreturn]] void refuse(const py::handle& value, const std::string& where, const char* expected) {
  throw Error(concat(where, " is ", py::repr(value).cast<std::string>(), "; expected ", expected));
}

// Python's integers and NumPy's; nothing for what is none.
std::optional<std::int64_t> read_integer(const py::handle& value, const std::string& where) {
  if (py::isinstance<py::bool_>(value) || PyIndex_Check(value.ptr()) == 0) return std::nullopt;
  const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!integer) {  // an array of another type has the slot, too
    PyErr_Clear();
    return std::nullopt;
  }
  const std::int64_t result = PyLong_AsLongLong(integer.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    refuse(value, where, "an integer of 64 bits");
  }
  return result;
}

// Real numbers, NumPy's among them; nothing for what is none.
std::optional<double> read_number(const py::handle& value) {
  if (PyNumber_Check(value.ptr()) == 0 || py::isinstance<py::iterable>(value)) return std::nullopt;
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Float(value.ptr()));
  if (!number) {  // complex
    PyErr_Clear();
    return std::nullopt;
  }
  return PyFloat_AsDouble(number.ptr());
}

// Of a list, a tuple, or whatever else has elements; false if one is no integer.
bool read_integers(const py::handle& value, const std::string& where, Integers& result) {
  for (const py::handle& element : py::iter(value)) {
    const auto integer = read_integer(element, where);
    if (!integer) return false;
    result.push_back(*integer);
  }
  return true;
}

bool read_named_integers(const py::dict& value, const std::string& where, IntegersByName& result) {
  for (const auto& [key, element] : value) {
    const auto integer = read_integer(element, where);
    if (!integer || !py::isinstance<py::str>(key)) return false;
    result[key.cast<std::string>()] = *integer;
  }
  return true;
}

}  // namespace

Attribute to_attribute(const py::handle& value, const std::string& where) {
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (const auto integer = read_integer(value, where)) return *integer;
  if (const auto number = read_number(value)) return *number;
  IntegersByName named;
  if (py::isinstance<py::dict>(value)) {
    if (read_named_integers(value.cast<py::dict>(), where, named)) return named;
  } else if (Integers integers;
             py::isinstance<py::iterable>(value) && read_integers(value, where, integers)) {
    return integers;
  }
  refuse(value, where, "a bool, a number, a string, integers or integers by name");
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
