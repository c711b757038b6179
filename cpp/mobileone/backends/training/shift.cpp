#include "mobileone/backends/training/shift.hpp"

#include <algorithm>

#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

void sample_shift(const float* x, std::int64_t images, std::int64_t image_floats,
                  std::int64_t pixels, float* shift) {
  constexpr std::int64_t kSamples = 64;  // of an image
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

}  // namespace mobileone::training
