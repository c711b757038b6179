#include "mobileone/backends/training/shift.hpp"

#include <algorithm>

#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kSamples = 64;  // of an image

}  // namespace

void sample_shift(const float* x, std::int64_t images, std::int64_t image_floats,
                  std::int64_t pixels, float* shift) {
  const std::int64_t samples = std::min(kSamples, pixels);
  double sums[kBlock] = {};
  for (std::int64_t image = 0; image < images; ++image) {
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      const float* const pixel = x + image * image_floats + pixels * sample / samples * kBlock;
      for (std::int64_t c = 0; c < kBlock; ++c) sums[c] += static_cast<double>(pixel[c]);
    }
  }
  for (std::int64_t c = 0; c < kBlock; ++c) {
    shift[c] = static_cast<float>(sums[c] / static_cast<double>(images * samples));
  }
}

float sample_plane_shift(const float* x, std::int64_t images, std::int64_t image_floats,
                         std::int64_t pixels, std::int64_t step) {
  const std::int64_t samples = std::min(kSamples, pixels);
  double sum = 0.0;
  for (std::int64_t image = 0; image < images; ++image) {
    const float* const plane = x + image * image_floats;
    for (std::int64_t sample = 0; sample < samples; ++sample) {
      sum += static_cast<double>(plane[pixels * sample / samples * step]);
    }
  }
  return static_cast<float>(sum / static_cast<double>(images * samples));
}

}  // namespace mobileone::training
