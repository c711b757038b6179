// Stored plans: weights in a file, mapped, and the plan made again on them.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "compile_options.hpp"
#include "gil.hpp"
#include "json.hpp"
#include "mobileone/base/checksum.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/engine.hpp"
#include "py_plan.hpp"

namespace mobileone::python {

namespace {

// key -> (offset, bytes, checksum) in the file.
using Entries = std::map<std::string, std::tuple<std::size_t, std::size_t, std::uint32_t>>;

std::shared_ptr<MappedWeights> map_weights(const std::string& path, const Entries& entries) {
  std::map<std::string, MappedWeights::Entry> places;
  for (const auto& [key, place] : entries) {
    const auto& [offset, bytes, sum] = place;
    places[key] = {offset, bytes, sum};
  }
  const GilRelease release;
  return std::make_shared<MappedWeights>(path, std::move(places));
}

std::unique_ptr<PyPlan> restore_plan(const Graph& graph,
                                     const std::shared_ptr<MappedWeights>& weights,
                                     const py::sequence& input_shape, int threads,
                                     const Records& records, const std::string& dtype) {
  const Shape shape = to_shape(input_shape);
  CompileOptions options;
  options.arithmetic = to_arithmetic(dtype, "auto");
  options.threads = threads;
  options.outputs = {graph.output};
  options.records = records;
  const GilRelease release;
  return std::make_unique<PyPlan>(restore(graph, weights, shape, options));
}

}  // namespace

void bind_stored_plan(py::module_& module) {
  py::class_<MappedWeights, std::shared_ptr<MappedWeights>>(
      module, "MappedWeights", "Packed weights in a file, mapped and used in place.")
      .def(py::init(&map_weights), py::arg("path"), py::arg("entries"),
           "key -> (offset, bytes, checksum) in the file. ValueError when any does not fit, and as "
           "of verify.")
      .def("check_unwritten", &MappedWeights::check_unwritten,
           "ValueError when the file was written to since it was mapped.")
      .def("verify", &MappedWeights::verify, py::call_guard<GilRelease>(),
           "ValueError naming the first weights that are no longer what was stored.");
  module.def("restore_plan", &restore_plan, py::arg("graph"), py::arg("weights"),
             py::arg("input_shape"), py::arg("threads"), py::arg("records"),
             py::arg("dtype") = "float32", "The plan of a graph on weights packed before.");
  module.def(
      "checksum",
      [](const py::buffer& data) {
        const py::buffer_info info = data.request();
        if (PyBuffer_IsContiguous(info.view(), 'C') == 0) {
          throw Error("[checksum] expected bytes or a C-order array");
        }
        return checksum(info.ptr, static_cast<std::size_t>(info.size * info.itemsize));
      },
      py::arg("data"), "Of bytes or an array's: what a stored plan knows its parts by.");
  module.def("parse_json", &json_of, py::arg("text"),
             "Python's json.loads of bytes, without what that module costs a cold start; strict: "
             "ValueError, too, for a key that comes twice, NaN, an integer beyond 64 bits, and "
             "more than 32 levels.");
}

}  // namespace mobileone::python
