// Float64 arrays and loops over their elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mobileone/reference/parallel.hpp"
#include "mobileone/reference/reference.hpp"

namespace mobileone::reference {

using Values = std::vector<double>;

inline constexpr std::int64_t kGrain = 1 << 16;  // elements that are worth a thread

inline std::size_t to_index(std::int64_t value) { return static_cast<std::size_t>(value); }

// One call of `value(i)` per element.
template <typename Value>
Values each(std::size_t size, int threads, const Value& value) {
  Values result(size);
  parallel_for(static_cast<std::int64_t>(size), kGrain, threads,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::size_t i = to_index(begin); i < to_index(end); ++i) result[i] = value(i);
               });
  return result;
}

template <typename Value>
ReferenceTensor elementwise(const Shape& shape, int threads, const Value& value) {
  return {shape, each(to_index(element_count(shape)), threads, value)};
}

// Elements per image and channel of [N, C, ...].
inline std::size_t plane_size(const Shape& shape) {
  std::int64_t size = 1;
  for (std::size_t axis = 2; axis < shape.size(); ++axis) size *= shape[axis];
  return to_index(size);
}

inline ReferenceTensor zeros(const Shape& shape) {
  return {shape, Values(to_index(element_count(shape)), 0.0)};
}

inline ReferenceTensor squared(const ReferenceTensor& x, int threads) {
  return elementwise(x.shape, threads, [&](std::size_t i) { return x.values[i] * x.values[i]; });
}

inline Values squared(Values values) {
  for (double& value : values) value *= value;
  return values;
}

}  // namespace mobileone::reference
