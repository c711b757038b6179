// NumPy arrays in and out of the engine.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <vector>

#include "mobileone/base/tensor.hpp"

namespace mobileone::python {

namespace py = pybind11;

// Float32, float64 (rounded) or int64 arrays of any strides as float32 or int64 tensors of memory
// of their own, which holds the elements after finish().
class TensorCopies {
 public:
  // `where` names the array in errors. Keeps the array until finish().
  Tensor add(const py::array& array, const std::string& where);
  // Copies the elements, without the GIL where that takes a while.
  void finish(int threads);

 private:
  struct Copy {
    std::byte* to;
    const std::byte* from;
    std::size_t bytes;
  };

  template <typename T>
  Tensor add_dense(const py::array& array, DType dtype);

  std::vector<py::array> arrays_;
  std::vector<Copy> copies_;
  std::size_t bytes_ = 0;
};

// A view that keeps the tensor alive; no copy. Writeable: only of memory that nobody takes for
// constant.
py::array to_array(const Tensor& tensor, bool writeable = false);

// The array's data, which must be C-contiguous, aligned float32 of exactly this shape.
float* checked_data(py::array& array, const Shape& shape, const std::string& where, bool writeable);

Shape shape_of(const py::array& array);
Shape to_shape(const py::sequence& sequence);
py::tuple to_tuple(const Shape& shape);

}  // namespace mobileone::python
