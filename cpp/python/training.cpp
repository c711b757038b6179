// What training in other frameworks takes from the engine.
#include <pybind11/stl.h>

#include <optional>
#include <variant>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/backends/training/backend.hpp"
#include "mobileone/backends/training/planes.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::python {

namespace {

using Maps = std::variant<training::DepthwisePlanes, training::DensePlanes>;

// Channels in and out, kernel, stride, padding and dilation, two each, then groups.
Conv2d convolution_of(const std::vector<std::int64_t>& geometry) {
  constexpr std::size_t kFields = 11;
  if (geometry.size() != kFields) {
    throw Error(concat("[geometry] has ", geometry.size(), " numbers; expected ", kFields));
  }
  Conv2d conv;
  conv.in_channels = geometry[0];
  conv.out_channels = geometry[1];
  conv.kernel = {geometry[2], geometry[3]};
  conv.stride = {geometry[4], geometry[5]};
  conv.padding = {geometry[6], geometry[7]};
  conv.dilation = {geometry[8], geometry[9]};
  conv.groups = geometry[10];
  return conv;
}

// Such a one as there are kernels for.
bool is_depthwise(const Conv2d& conv) {
  return conv.depthwise() && conv.kernel == Extent{3, 3} && conv.padding == Extent{1, 1} &&
         (conv.stride == Extent{1, 1} || conv.stride == Extent{2, 2});
}

bool is_supported(const Conv2d& conv) {
  const auto least = [](const Extent& extent, std::int64_t value) {
    return extent[0] >= value && extent[1] >= value;
  };
  const bool valid = conv.in_channels > 0 && conv.out_channels > 0 && least(conv.kernel, 1) &&
                     least(conv.stride, 1) && least(conv.padding, 0);
  if (!valid || conv.dilation != Extent{1, 1}) return false;
  return conv.groups == 1 || is_depthwise(conv);
}

// A convolution of maps x, with the arrays' shapes.
struct Planes {
  Planes(const py::array& x, const std::vector<std::int64_t>& geometry)
      : conv(convolution_of(geometry)), in(shape_of(x)), out(in) {
    if (!is_supported(conv)) {
      throw Error(
          "[geometry] is of another convolution; expected an ungrouped one, or a depthwise 3 x 3 "
          "of stride 1 or 2, padding 1");
    }
    if (in.size() != 4 || x.size() == 0 || in[1] != conv.in_channels) {
      throw Error(
          concat("[x] has shape ", to_string(in), "; expected [N, ", conv.in_channels, ", H, W]"));
    }
    if (!training::backend()) throw NotSupported("[x] this CPU has no AVX2 and FMA; expected both");
    out[1] = conv.out_channels;
    for (std::size_t i = 0; i < 2; ++i) {
      const std::int64_t room = in[2 + i] + 2 * conv.padding[i] - conv.kernel[i];
      if (room < 0)
        throw Error(concat("[x] has shape ", to_string(in), ", smaller than the kernel"));
      out[2 + i] = room / conv.stride[i] + 1;
    }
    groups = conv.groups;
    taps = conv.in_channels / groups * conv.kernel[0] * conv.kernel[1];
  }

  Maps maps() const {
    if (!is_depthwise(conv)) return training::DensePlanes(conv, in, out);
    return training::DepthwisePlanes{
        in[0],
        in[1],
        {static_cast<int>(in[2]), static_cast<int>(in[3]), static_cast<int>(conv.stride[0])}};
  }
  bool is_pixelwise() const {
    return taps == conv.in_channels && conv.stride == Extent{1, 1} && conv.padding == Extent{0, 0};
  }
  Shape weight() const {
    return {conv.out_channels, conv.in_channels / groups, conv.kernel[0], conv.kernel[1]};
  }
  Shape vectors() const { return {groups, taps}; }
  Shape matrices() const { return {groups, taps, taps}; }

  Conv2d conv;
  Shape in, out;
  std::int64_t groups = 1, taps = 1;
};

// run(maps) of whichever kind, without the GIL.
template <typename Run>
void without_gil(const Planes& planes, const Run& run) {
  const Maps maps = planes.maps();
  const GilRelease release;
  std::visit(run, maps);
}

using Geometry = std::vector<std::int64_t>;

void patch_moments(py::array x, const Geometry& geometry, py::array mean, py::array covariance,
                   int threads) {
  const Planes planes(x, geometry);
  const float* const data = checked_data(x, planes.in, "x", false);
  float* const means = checked_data(mean, planes.vectors(), "mean", true);
  float* const matrices = checked_data(covariance, planes.matrices(), "covariance", true);
  without_gil(planes, [&](const auto& maps) {
    training::plane_moments(maps, data, means, matrices, shared_pool(threads));
  });
}

void patch_convolution(py::array x, const Geometry& geometry, py::array weight, py::array bias,
                       py::array y, int threads) {
  const Planes planes(x, geometry);
  const training::PlaneConvolution args{checked_data(x, planes.in, "x", false),
                                        checked_data(weight, planes.weight(), "weight", false),
                                        checked_data(bias, {planes.out[1]}, "bias", false),
                                        checked_data(y, planes.out, "y", true)};
  without_gil(planes, [&](const auto& maps) {
    training::plane_convolution(maps, args, shared_pool(threads));
  });
}

void patch_weight_gradient(py::array x, const Geometry& geometry, py::array g, py::array dweight,
                           py::array dbias, int threads) {
  const Planes planes(x, geometry);
  const training::PlaneWeightGradient args{checked_data(x, planes.in, "x", false),
                                           checked_data(g, planes.out, "g", false),
                                           checked_data(dweight, planes.weight(), "dweight", true),
                                           checked_data(dbias, {planes.out[1]}, "dbias", true)};
  without_gil(planes, [&](const auto& maps) {
    training::plane_weight_gradient(maps, args, shared_pool(threads));
  });
}

void patch_input_gradient(py::array x, const Geometry& geometry, py::array mean, py::array s,
                          py::array constant, std::optional<py::array> grad,
                          std::optional<py::array> g, std::optional<py::array> weight, py::array dx,
                          int threads) {
  const Planes planes(x, geometry);
  if (!is_depthwise(planes.conv) && !planes.is_pixelwise()) {
    throw Error(
        "[geometry] has a kernel, strides or padding; expected 1 x 1 on every pixel, or a "
        "depthwise one");
  }
  if (g.has_value() != weight.has_value()) throw Error("[weight] goes with g; expected both");
  training::PlaneInputGradient args{};
  args.x = checked_data(x, planes.in, "x", false);
  args.mean = checked_data(mean, planes.vectors(), "mean", false);
  args.s = checked_data(s, planes.matrices(), "s", false);
  args.constant = checked_data(constant, planes.vectors(), "constant", false);
  if (grad) args.grad = checked_data(*grad, planes.in, "grad", false);
  if (g) args.g = checked_data(*g, planes.out, "g", false);
  if (weight) args.weight = checked_data(*weight, planes.weight(), "weight", false);
  args.dx = checked_data(dx, planes.in, "dx", true);
  without_gil(planes, [&](const auto& maps) {
    training::plane_input_gradient(maps, args, shared_pool(threads));
  });
}

}  // namespace

void bind_training(py::module_& module) {
  module.def("patch_moments", &patch_moments, py::arg("x"), py::arg("geometry"), py::arg("mean"),
             py::arg("covariance"), py::arg("threads") = 1,
             "Mean and covariance of the patches of x [N, C, H, W].");
  module.def("patch_convolution", &patch_convolution, py::arg("x"), py::arg("geometry"),
             py::arg("weight"), py::arg("bias"), py::arg("y"), py::arg("threads") = 1,
             "y = weight x + bias.");
  module.def("patch_weight_gradient", &patch_weight_gradient, py::arg("x"), py::arg("geometry"),
             py::arg("g"), py::arg("dweight"), py::arg("dbias"), py::arg("threads") = 1,
             "The gradients of weight and bias, given y's.");
  module.def("patch_input_gradient", &patch_input_gradient, py::arg("x"), py::arg("geometry"),
             py::arg("mean"), py::arg("s"), py::arg("constant"), py::arg("grad"), py::arg("g"),
             py::arg("weight"), py::arg("dx"), py::arg("threads") = 1,
             "dx = grad (or 0) + the sums over patches of weight' g (or 0) + s (patch - mean) + "
             "constant.");
}

}  // namespace mobileone::python
