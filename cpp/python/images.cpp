// 8-bit images in.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/vision/normalize.hpp"
#include "mobileone/vision/resize.hpp"

namespace mobileone::python {

namespace {

ImageView view_of(const py::array& images) {
  if (!py::isinstance<py::array_t<std::uint8_t>>(images) || images.ndim() != 4) {
    throw Error(concat("[normalize] images are ", py::str(images.dtype()).cast<std::string>(),
                       " with ", images.ndim(), " dimensions; expected uint8 [N, C, H, W]"));
  }
  ImageView view;
  view.data = static_cast<const std::uint8_t*>(images.data());
  for (py::ssize_t i = 0; i < 4; ++i) {
    view.shape[static_cast<std::size_t>(i)] = images.shape(i);
    view.strides[static_cast<std::size_t>(i)] = images.strides(i);
  }
  return view;
}

void normalize_images(const py::array& images, double low, double high, std::vector<double> mean,
                      std::vector<double> std, py::array out) {
  const ImageView view = view_of(images);
  const Normalization normalization{low, high, std::move(mean), std::move(std)};
  float* data = checked_data(out, {view.shape.begin(), view.shape.end()}, "out", true);
  const GilRelease release;
  normalize(view, normalization, data);
}

using Pixels = py::array_t<std::uint8_t, py::array::c_style>;

Pixels resized_pixels(const Pixels& pixels, py::ssize_t height, py::ssize_t width,
                      const std::string& interpolation) {
  if (pixels.ndim() != 3) {
    throw Error(concat("[resize] pixels have ", pixels.ndim(), " dimensions; expected [H, W, C]"));
  }
  const bool bicubic = interpolation == "bicubic";
  if (!bicubic && interpolation != "bilinear") {
    throw Error(concat("[resize] interpolation is \"", interpolation,
                       "\"; expected \"bilinear\" or \"bicubic\""));
  }
  const PictureView view{pixels.data(), pixels.shape(0), pixels.shape(1), pixels.shape(2),
                         pixels.shape(1) * pixels.shape(2)};
  if (height < 1 || width < 1) {
    throw Error(concat("[resize] size is ", height, " x ", width, "; expected at least 1 x 1"));
  }
  Pixels out({height, width, pixels.shape(2)});
  std::uint8_t* data = out.mutable_data();
  const GilRelease release;
  resize(view, bicubic ? ResizeFilter::bicubic : ResizeFilter::bilinear, height, width, data);
  return out;
}

}  // namespace

void bind_images(py::module_& module) {
  module.def(
      "normalize_images", &normalize_images, py::arg("images"), py::arg("low"), py::arg("high"),
      py::arg("mean"), py::arg("std"), py::arg("out"),
      "Writes (low + images * (high - low) / 255 - mean) / std to out, float32 [N, C, H, W];\n"
      "images: uint8 [N, C, H, W] of any strides. Float64 rounded once.");
  module.def(
      "resize_pixels", &resized_pixels, py::arg("pixels").noconvert(), py::arg("height"),
      py::arg("width"), py::arg("interpolation"),
      "uint8 [H, W, C] at another size, as Image.resize of Pillow 13 bit by bit; \"bilinear\"\n"
      "or \"bicubic\", antialiased. C is 1 to 4.");
}

}  // namespace mobileone::python
