#include "arrays.hpp"

#include <pybind11/stl.h>

#include <cstring>
#include <utility>

#include "gil.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::python {

Shape shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

namespace {

// Of arrays that show a tensor, read-only. NumPy lets nobody write to such an array again.
constexpr const char* kConstant = "mobileone.constant";

using Storage = std::shared_ptr<const void>;

// What an array of to_array shows, as it is; none of any other array.
Storage constant_of(const py::array& array) {
  const py::object owner = array.base();
  if (array.writeable() || !owner || !PyCapsule_IsValid(owner.ptr(), kConstant)) return nullptr;
  const auto* storage = static_cast<Storage*>(PyCapsule_GetPointer(owner.ptr(), kConstant));
  return (array.flags() & py::array::c_style) != 0 && storage->get() == array.data() ? *storage
                                                                                     : nullptr;
}

template <typename T>
Tensor copy_dense(const py::array& array, DType dtype) {
  const auto dense = py::array_t < T, py::array::c_style | py::array::forcecast > ::ensure(array);
  if (!dense) throw py::error_already_set();
  std::shared_ptr<void> data = allocate_aligned(static_cast<std::size_t>(dense.nbytes()));
  std::memcpy(data.get(), dense.data(), static_cast<std::size_t>(dense.nbytes()));
  return {shape_of(dense), dtype, std::move(data)};
}

}  // namespace

Tensor to_tensor(const py::array& array, const std::string& where) {
  if (auto held = constant_of(array)) {
    if (py::isinstance<py::array_t<float>>(array)) {
      return {shape_of(array), DType::float32, std::move(held)};
    }
  }
  const char kind = array.dtype().kind();
  if (kind == 'f') return copy_dense<float>(array, DType::float32);
  if (kind == 'i') return copy_dense<std::int64_t>(array, DType::int64);
  throw Error(concat("[network] weight ", where, " has dtype ",
                     py::str(array.dtype()).cast<std::string>(),
                     "; expected a floating-point or signed integer dtype"));
}

py::array to_array(const Tensor& tensor, bool writeable) {
  const py::dtype dtype = tensor.dtype() == DType::float32   ? py::dtype::of<float>()
                          : tensor.dtype() == DType::float64 ? py::dtype::of<double>()
                                                             : py::dtype::of<std::int64_t>();
  const auto release = [](PyObject* capsule) {
    delete static_cast<Storage*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
  };
  const py::capsule owner(new Storage(tensor.storage()), writeable ? nullptr : kConstant, release);
  py::array array(dtype, tensor.shape(), tensor.data(), owner);
  if (!writeable) array.attr("flags").attr("writeable") = false;
  return array;
}

py::list finite_copies(const std::vector<py::array_t<float, py::array::c_style>>& arrays) {
  struct Copy {
    const float* from;
    std::size_t count;
    std::shared_ptr<void> to;
    bool finite;
  };
  std::vector<Copy> copies;
  for (const auto& array : arrays) {
    copies.push_back({array.data(), static_cast<std::size_t>(array.size()), nullptr, false});
  }
  {
    const GilRelease release;
    for (Copy& copy : copies) {
      copy.to = allocate_aligned(copy.count * sizeof(float));
      copy.finite = copy_finite(copy.from, copy.count, static_cast<float*>(copy.to.get()));
    }
  }
  py::list result;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    py::object array = py::none();
    if (copies[i].finite) {
      array = to_array({shape_of(arrays[i]), DType::float32, std::move(copies[i].to)});
    }
    result.append(array);
  }
  return result;
}

float* checked_data(py::array& array, const Shape& shape, const std::string& where,
                    bool writeable) {
  const bool fits = py::isinstance<py::array_t<float>>(array) && shape_of(array) == shape &&
                    (array.flags() & py::array::c_style) != 0 && (!writeable || array.writeable());
  if (!fits) {
    throw Error(concat("[run] ", where, " is ", py::str(array.dtype()).cast<std::string>(), " ",
                       to_string(shape_of(array)), "; expected a C-contiguous ",
                       writeable ? "writeable " : "", "float32 array of shape ", to_string(shape)));
  }
  return static_cast<float*>(writeable ? array.mutable_data() : const_cast<void*>(array.data()));
}

Shape to_shape(const py::sequence& sequence) {
  Shape shape;
  for (const auto& extent : sequence) shape.push_back(extent.cast<std::int64_t>());
  return shape;
}

py::tuple to_tuple(const Shape& shape) { return py::tuple(py::cast(shape)); }

}  // namespace mobileone::python
