#include "json.hpp"

#include "mobileone/graph/json_text.hpp"

namespace py = pybind11;

namespace mobileone::python {

namespace {

py::object to_object(const Json& json) {
  struct Convert {
    py::object operator()(std::nullptr_t) const { return py::none(); }
    py::object operator()(bool value) const { return py::bool_(value); }
    py::object operator()(std::int64_t value) const { return py::int_(value); }
    py::object operator()(double value) const { return py::float_(value); }
    py::object operator()(const std::string& value) const { return py::str(value); }
    py::object operator()(const Json::Array& array) const {
      py::list result;
      for (const Json& element : array) result.append(to_object(element));
      return result;
    }
    py::object operator()(const Json::Object& object) const {
      py::dict result;
      for (const auto& [key, value] : object) result[py::str(key)] = to_object(value);
      return result;
    }
  };
  return std::visit(Convert{}, json.value);
}

}  // namespace

py::object json_of(const py::bytes& text) {
  return to_object(parse_json(static_cast<std::string_view>(text)));
}

}  // namespace mobileone::python
