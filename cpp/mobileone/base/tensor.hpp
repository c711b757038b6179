// Tensor: an immutable, dense, row-major (C order) array with shared storage, and its Shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mobileone {

using Shape = std::vector<std::int64_t>;

// Number of elements; 1 for a scalar (empty shape).
std::int64_t element_count(const Shape& shape);
// "(96, 1, 3, 3)", as NumPy prints it.
std::string to_string(const Shape& shape);

enum class DType { float32, float64, int64 };

std::size_t size_of(DType dtype);
const char* to_string(DType dtype);

// Storage aligned to 64 bytes (one cache line, one zmm register), freed with the last reference.
std::shared_ptr<void> allocate_aligned(std::size_t bytes);

// Copies `count` numbers, and says whether all are finite.
bool copy_finite(const float* from, std::size_t count, float* to);

class Tensor {
 public:
  Tensor() = default;
  // Adopts `data`, which must hold element_count(shape) elements and stay unchanged.
  Tensor(Shape shape, DType dtype, std::shared_ptr<const void> data);

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  std::int64_t size() const { return element_count(shape_); }
  const void* data() const { return data_.get(); }
  std::shared_ptr<const void> storage() const { return data_; }

  // Typed views; throw Error when the dtype differs.
  const float* f32() const;
  const double* f64() const;
  const std::int64_t* i64() const;

  // Every element converted to double (a copy).
  std::vector<double> to_doubles() const;

  // Copies `values` into new storage, each rounded once to `dtype`.
  static Tensor from_doubles(Shape shape, const std::vector<double>& values,
                             DType dtype = DType::float32);
  static Tensor from_int64(std::int64_t value);

 private:
  Shape shape_;
  DType dtype_ = DType::float32;
  std::shared_ptr<const void> data_;
};

}  // namespace mobileone
