// Re-parameterization.
#include "mobileone/rewrite/rewrite.hpp"

#include <pybind11/stl.h>

#include <algorithm>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/rewrite/compare.hpp"

namespace mobileone::python {

namespace py = pybind11;

namespace {

template <typename Rewrite>
auto rewriter(Rewrite rewrite) {
  return [rewrite](const PyNetwork& self) {
    const GilRelease release;
    return PyNetwork{std::make_shared<const Network>(rewrite(*self.network))};
  };
}

// Where element `flat` of a row-major array lies.
Shape index_of(std::int64_t flat, const Shape& shape) {
  Shape index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; flat /= shape[axis]) {
    index[axis] = flat % shape[axis];
  }
  return index;
}

py::object compare(const PyNetwork& reference, const PyNetwork& candidate) {
  std::optional<WeightComparison> comparison;
  {
    const GilRelease release;
    comparison = compare_weights(*reference.network, *candidate.network);
  }
  if (!comparison) return py::none();
  const std::vector<NodeId>& features = comparison->graph.features;
  std::map<std::string, Shape> shapes;
  for (const Parameter& parameter : parameters(comparison->graph)) {
    shapes[parameter.name] = parameter.shape;
  }
  py::list rows;
  for (const WeightDifference& found : comparison->weights) {
    py::dict row;
    row["level"] =
        std::lower_bound(features.begin(), features.end(), found.node) - features.begin();
    row["weight"] = found.weight;
    row["index"] = to_tuple(index_of(found.element, shapes.at(found.weight)));
    row["reference"] = found.reference;
    row["candidate"] = found.candidate;
    row["bound"] = found.bound;
    row["ratio"] = found.ratio();
    rows.append(row);
  }
  return rows;
}

}  // namespace

void bind_rewrite(py::module_& module) {
  module.def("fold_batch_norm",
             rewriter([](const Network& n) { return round_weights(fold_batch_norm(n)); }),
             py::arg("network"), "Batch norms folded into convolutions.");
  module.def("merge_branches",
             rewriter([](const Network& n) { return round_weights(merge_branches(n)); }),
             py::arg("network"), "Parallel convolutions merged into one.");
  module.def("reparameterize", rewriter(&reparameterize), py::arg("network"),
             "Both, in float64, rounded once.");
  module.def(
      "compare_weights", &compare, py::arg("reference"), py::arg("candidate"),
      "Per weight of the inference form, the element whose difference between two networks' "
      "exact\nalgebra comes closest to what float32 rounding explains: level, weight, index, "
      "reference,\ncandidate, bound, ratio. None when they are not forms of one graph.");
  module.def("is_inference_form", &is_inference_form, py::arg("graph"));
}

}  // namespace mobileone::python
