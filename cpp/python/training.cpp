// What training in other frameworks takes from the engine.
#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/backends/training/backend.hpp"
#include "mobileone/backends/training/plane_moments.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::python {

namespace {

using training::PlaneMaps;

PlaneMaps maps_of(const py::array& x, int stride) {
  if (x.ndim() != 4 || x.size() == 0) {
    throw Error(
        concat("[moments] x has shape ", to_string(shape_of(x)), "; expected [N, C, H, W]"));
  }
  if (stride != 1 && stride != 2)
    throw Error(concat("[moments] stride is ", stride, "; expected 1 or 2"));
  if (!training::backend())
    throw NotSupported("[moments] this CPU has no AVX2 and FMA; expected both");
  return {
      x.shape(0), x.shape(1), {static_cast<int>(x.shape(2)), static_cast<int>(x.shape(3)), stride}};
}

py::tuple depthwise_moments(py::array x, py::array shift, int stride, int threads) {
  const PlaneMaps maps = maps_of(x, stride);
  const std::int64_t taps = kernels::kTaps;
  const float* const data = checked_data(x, shape_of(x), "x", false);
  const float* const shifts = checked_data(shift, {maps.channels}, "shift", false);
  py::array_t<double> sums({maps.channels, taps}), products({maps.channels, taps, taps});
  double *const to = sums.mutable_data(), *const products_to = products.mutable_data();
  {
    const GilRelease release;
    training::plane_moments(maps, data, shifts, to, products_to, shared_pool(threads));
  }
  return py::make_tuple(sums, products);
}

void depthwise_moments_gradient(py::array x, const py::object& grad, py::array shift, py::array s,
                                py::array constant, py::array result, int stride, int threads) {
  const PlaneMaps maps = maps_of(x, stride);
  const Shape shape = shape_of(x);
  const std::int64_t taps = kernels::kTaps;
  training::PlaneGradient args{};
  args.x = checked_data(x, shape, "x", false);
  py::array given;
  if (!grad.is_none()) {
    given = grad.cast<py::array>();
    args.grad = checked_data(given, shape, "grad", false);
  }
  args.shift = checked_data(shift, {maps.channels}, "shift", false);
  args.s = checked_data(s, {maps.channels, taps, taps}, "s", false);
  args.constant = checked_data(constant, {maps.channels, taps}, "constant", false);
  args.dx = checked_data(result, shape, "result", true);
  const GilRelease release;
  training::plane_gradient(maps, args, shared_pool(threads));
}

}  // namespace

void bind_training(py::module_& module) {
  module.def("depthwise_moments", &depthwise_moments, py::arg("x"), py::arg("shift"),
             py::arg("stride") = 1, py::arg("threads") = 1,
             "Of 3 x 3 patches of x [N, C, H, W] less shift [C], padding 1: sums over outputs of "
             "the taps [C, 9] and of their products [C, 9, 9].");
  module.def("depthwise_moments_gradient", &depthwise_moments_gradient, py::arg("x"),
             py::arg("grad"), py::arg("shift"), py::arg("s"), py::arg("constant"),
             py::arg("result"), py::arg("stride") = 1, py::arg("threads") = 1,
             "result = grad (or 0) + the sums over patches of s (patch - shift) + constant.");
}

}  // namespace mobileone::python
