#include "mobileone/backends/fused/strassen_guard.hpp"

#include <algorithm>
#include <cmath>
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

// sum_k of magnitude[k] |row[k]|, and the same with both halves of the channels added up first.
struct RowSums {
  double direct = 0.0, folded = 0.0;
};

RowSums row_sums(const std::vector<double>& magnitude, const float* row) {
  const std::size_t half = magnitude.size() / 2;
  RowSums sums;
  for (std::size_t k = 0; k < half; ++k) {
    const double low = std::abs(static_cast<double>(row[k]));
    const double high = std::abs(static_cast<double>(row[k + half]));
    sums.direct += magnitude[k] * low + magnitude[k + half] * high;
    sums.folded += (magnitude[k] + magnitude[k + half]) * (low + high);
  }
  return sums;
}

}  // namespace

double strassen_growth(int channels_in, int channels_out, int taps, const float* depthwise,
                       const float* depthwise_bias, const float* pointwise) {
  const std::vector<double> magnitude =
      channel_magnitudes(channels_in, taps, depthwise, depthwise_bias);
  const int half = channels_out / 2;
  double growth = 0.0;
  for (int j = 0; j < half; ++j) {
    const RowSums low = row_sums(magnitude, pointwise + std::ptrdiff_t{j} * channels_in);
    const RowSums high = row_sums(magnitude, pointwise + std::ptrdiff_t{j + half} * channels_in);
    for (double direct : {low.direct, high.direct}) {
      if (direct > 0.0) growth = std::max(growth, 2.0 * (low.folded + high.folded) / direct);
    }
  }
  return growth;
}

}  // namespace mobileone::fused
