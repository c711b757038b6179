#include "mobileone/backends/fused/strassen_guard.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace mobileone::fused {

namespace {

std::vector<double> channel_magnitudes(int channels, int taps, const float* weight,
                                       const float* bias) {
  std::vector<double> magnitudes(static_cast<std::size_t>(channels));
  for (int c = 0; c < channels; ++c) {
    double sum = bias ? std::abs(static_cast<double>(bias[c])) : 0.0;
    for (int tap = 0; tap < taps; ++tap) {
      sum += std::abs(static_cast<double>(weight[taps * c + tap]));
    }
    magnitudes[static_cast<std::size_t>(c)] = sum;
  }
  return magnitudes;
}

// sum_k of magnitude[k] |row[k]|, and the same with all parts of the channels added up first.
struct RowSums {
  double direct = 0.0, folded = 0.0;
};

RowSums row_sums(std::size_t parts, const std::vector<double>& magnitude, const float* row) {
  const std::size_t part = magnitude.size() / parts;
  RowSums sums;
  for (std::size_t first = 0; first < part; ++first) {
    double magnitudes = 0.0, weights = 0.0;
    for (std::size_t k = first; k < magnitude.size(); k += part) {
      const double weight = std::abs(static_cast<double>(row[k]));
      magnitudes += magnitude[k];
      weights += weight;
      sums.direct += magnitude[k] * weight;
    }
    sums.folded += magnitudes * weights;
  }
  return sums;
}

}  // namespace

double strassen_growth(int levels, int channels_in, int channels_out, int taps,
                       const float* depthwise, const float* depthwise_bias,
                       const float* pointwise) {
  const std::vector<double> magnitude =
      channel_magnitudes(channels_in, taps, depthwise, depthwise_bias);
  const int parts = 1 << levels, part = channels_out / parts;
  double growth = 0.0;
  for (int first = 0; first < part; ++first) {
    double folded = 0.0, least = std::numeric_limits<double>::infinity();
    for (int j = first; j < channels_out; j += part) {
      const RowSums sums = row_sums(static_cast<std::size_t>(parts), magnitude,
                                    pointwise + std::ptrdiff_t{j} * channels_in);
      folded += sums.folded;
      if (sums.direct > 0.0) least = std::min(least, sums.direct);
    }
    growth = std::max(growth, parts * folded / least);
  }
  return growth;
}

}  // namespace mobileone::fused
