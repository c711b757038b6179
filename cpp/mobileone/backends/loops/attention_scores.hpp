// What attention's forward and backward loops share: one query's weights before their division.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "mobileone/backends/loops/rows.hpp"

namespace mobileone::loops {

// By which scores of heads of that size are multiplied.
inline float scale_of_scores(std::int64_t size) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
}

// result[k] = sum over i of factors[i] columns[i][k]: `size` factors, `tokens` results.
MOBILEONE_INLINE void products(const float* factors, const float* columns, std::int64_t size,
                               std::int64_t tokens, float* result) {
  std::fill_n(result, tokens, 0.f);
  for (std::int64_t i = 0; i < size; ++i) {
    const float factor = factors[i];
    const float* const row = columns + i * tokens;
#pragma GCC ivdep
    for (std::int64_t k = 0; k < tokens; ++k) result[k] += factor * row[k];
  }
}

// weights = exponentials of the scaled scores of a query with keys [size][tokens], less the
// largest, so that none overflows. Returns their sum: divided by it they are the softmax.
MOBILEONE_INLINE float exponential_scores(const float* query, const float* keys, std::int64_t size,
                                          std::int64_t tokens, float* weights) {
  products(query, keys, size, tokens, weights);
  const float scale = scale_of_scores(size);
  const float largest = largest_of(weights, tokens);
#pragma GCC ivdep
  for (std::int64_t k = 0; k < tokens; ++k) {
    weights[k] = exponential((weights[k] - largest) * scale);
  }
  return static_cast<float>(sum_of(weights, tokens));
}

}  // namespace mobileone::loops
