#include "mobileone/base/tensor.hpp"

#include <algorithm>
#include <bit>

#include "mobileone/base/allocation.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/base/pages.hpp"

namespace mobileone {

namespace {

constexpr std::size_t kAlignment = 64;

template <typename T>
const T* typed_view(const Tensor& tensor, DType wanted) {
  if (tensor.dtype() != wanted) {
    throw Error(
        concat("[tensor] has dtype ", to_string(tensor.dtype()), "; expected ", to_string(wanted)));
  }
  return static_cast<const T*>(tensor.data());
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (std::int64_t extent : shape) count *= extent;
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::size_t size_of(DType dtype) { return dtype == DType::float32 ? 4 : 8; }

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::float64:
      return "float64";
    case DType::int64:
      return "int64";
  }
  return "?";
}

std::shared_ptr<void> allocate_aligned(std::size_t bytes) {
  // Freed, it goes back to the system; malloc would keep it.
  if (bytes >= kHugePage) return map_pages(bytes);
  void* memory =
      ::operator new(std::max<std::size_t>(bytes, 1), std::align_val_t{kAlignment}, std::nothrow);
  if (memory == nullptr) throw AllocationError("memory", bytes);
  return {memory, [](void* p) { ::operator delete(p, std::align_val_t{kAlignment}); }};
}

Tensor::Tensor(Shape shape, DType dtype, std::shared_ptr<const void> data)
    : shape_(std::move(shape)), dtype_(dtype), data_(std::move(data)) {}

const float* Tensor::f32() const { return typed_view<float>(*this, DType::float32); }
const double* Tensor::f64() const { return typed_view<double>(*this, DType::float64); }
const std::int64_t* Tensor::i64() const { return typed_view<std::int64_t>(*this, DType::int64); }

std::vector<double> Tensor::to_doubles() const {
  const auto count = static_cast<std::size_t>(size());
  switch (dtype_) {
    case DType::float32:
      return {f32(), f32() + count};
    case DType::float64:
      return {f64(), f64() + count};
    case DType::int64:
      return {i64(), i64() + count};
  }
  return {};
}

Tensor Tensor::from_doubles(Shape shape, const std::vector<double>& values, DType dtype) {
  if (element_count(shape) != static_cast<std::int64_t>(values.size())) {
    throw Error(concat("[tensor] ", values.size(), " values for shape ", to_string(shape)));
  }
  std::shared_ptr<void> data = allocate_aligned(values.size() * size_of(dtype));
  if (dtype == DType::float32) {
    auto* out = static_cast<float*>(data.get());
    std::transform(values.begin(), values.end(), out,
                   [](double value) { return static_cast<float>(value); });
  } else if (dtype == DType::float64) {
    std::copy(values.begin(), values.end(), static_cast<double*>(data.get()));
  } else {
    throw Error("[tensor] from_doubles makes float32 or float64 tensors, not int64");
  }
  return {std::move(shape), dtype, std::move(data)};
}

bool copy_finite(const float* from, std::size_t count, float* to) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = from[i];
    found |= (std::bit_cast<std::uint32_t>(from[i]) & kExponent) == kExponent ? 1u : 0u;
  }
  return found == 0;
}

Tensor Tensor::from_int64(std::int64_t value) {
  std::shared_ptr<void> data = allocate_aligned(sizeof(value));
  *static_cast<std::int64_t*>(data.get()) = value;
  return {{}, DType::int64, std::move(data)};
}

}  // namespace mobileone
