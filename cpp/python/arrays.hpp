// NumPy arrays in and out of the engine.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "mobileone/base/tensor.hpp"

namespace mobileone::python {

namespace py = pybind11;

// Copies a float32, float64 (rounded) or int64 array of any strides into a float32 or int64
// tensor; what shows a float32 tensor already is that tensor. `where` names the array in errors.
Tensor to_tensor(const py::array& array, const std::string& where);

// A view that keeps the tensor alive; no copy. Writeable: only of memory that nobody takes for
// constant.
py::array to_array(const Tensor& tensor, bool writeable = false);

// Of each array a tensor's view with its elements, or None if one is NaN or infinite.
py::list finite_copies(const std::vector<py::array_t<float, py::array::c_style>>& arrays);

// The array's data, which must be C-contiguous, aligned float32 of exactly this shape.
float* checked_data(py::array& array, const Shape& shape, const std::string& where, bool writeable);

Shape shape_of(const py::array& array);
Shape to_shape(const py::sequence& sequence);
py::tuple to_tuple(const Shape& shape);

}  // namespace mobileone::python
