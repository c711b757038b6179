// What moments are shifted by: near the mean of each channel, so that they do not cancel.
#pragma once

#include <cstdint>

namespace mobileone::training {

// Of 16 channels of a map, whose images are `image_floats` apart: the means over some pixels spread
// over all images. Any value would be right; one within a few standard deviations of the mean keeps
// E[(x - shift)^2] near the variance.
void sample_shift(const float* x, std::int64_t images, std::int64_t image_floats,
                  std::int64_t pixels, float* shift);
// Of one channel, whose pixels are `step` floats apart.
float sample_plane_shift(const float* x, std::int64_t images, std::int64_t image_floats,
                         std::int64_t pixels, std::int64_t step);

}  // namespace mobileone::training
