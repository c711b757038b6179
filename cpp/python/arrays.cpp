#include "arrays.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>

#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/base/spread.hpp"

namespace mobileone::python {

Shape shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }

namespace {

// Copies are cut into pieces of a huge page, and shared out where there are many.
constexpr std::size_t kPiece = std::size_t{2} << 20, kWorthThreads = 4 * kPiece;

}  // namespace

template <typename T>
Tensor TensorCopies::add_dense(const py::array& array, DType dtype) {
  auto dense = py::array_t < T, py::array::c_style | py::array::forcecast > ::ensure(array);
  if (!dense) throw py::error_already_set();
  const auto bytes = static_cast<std::size_t>(dense.nbytes());
  std::shared_ptr<void> data = allocate_aligned(bytes);
  const auto* from = reinterpret_cast<const std::byte*>(dense.data());
  auto* to = static_cast<std::byte*>(data.get());
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    copies_.push_back({to + at, from + at, std::min(kPiece, bytes - at)});
  }
  bytes_ += bytes;
  Tensor tensor{shape_of(dense), dtype, std::move(data)};
  arrays_.push_back(std::move(dense));
  return tensor;
}

Tensor TensorCopies::add(const py::array& array, const std::string& where) {
  const char kind = array.dtype().kind();
  if (kind == 'f') return add_dense<float>(array, DType::float32);
  if (kind == 'i') return add_dense<std::int64_t>(array, DType::int64);
  throw Error(concat("[network] weight ", where, " has dtype ",
                     py::str(array.dtype()).cast<std::string>(),
                     "; expected a floating-point or signed integer dtype"));
}

void TensorCopies::finish(int threads) {
  const auto count = static_cast<std::int64_t>(copies_.size());
  const auto copy = [this](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Copy& piece = copies_[static_cast<std::size_t>(i)];
      std::memcpy(piece.to, piece.from, piece.bytes);
    }
  };
  if (bytes_ < kWorthThreads) {
    copy(0, count, 0);
  } else {
    const GilRelease release;
    spread(shared_pool(threads), count, copy, 16);
  }
  arrays_.clear();
  copies_.clear();
  bytes_ = 0;
}

py::array to_array(const Tensor& tensor, bool writeable) {
  const py::dtype dtype = tensor.dtype() == DType::float32   ? py::dtype::of<float>()
                          : tensor.dtype() == DType::float64 ? py::dtype::of<double>()
                                                             : py::dtype::of<std::int64_t>();
  const py::capsule owner(new std::shared_ptr<const void>(tensor.storage()),
                          [](void* p) { delete static_cast<std::shared_ptr<const void>*>(p); });
  py::array array(dtype, tensor.shape(), tensor.data(), owner);
  if (!writeable) array.attr("flags").attr("writeable") = false;
  return array;
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
