// 8-bit pictures to another size, with antialiasing: the numbers of Pillow's Image.resize, bit by
// bit, for its filters BILINEAR and BICUBIC (a = -1/2).
//
// First along rows, then along columns, each rounded to 8 bits; the other way round where the
// height shrinks, by more pixels than twice what the width loses (as Pillow's versions from 13 on;
// older ones always begin with rows). An output pixel is a weighted mean of those that the filter,
// stretched by the ratio of the sizes where a side shrinks, reaches; the weights, of sum 1, are
// integers in units of 2^-22 (kernels/image/resample.hpp).
#pragma once

#include <cstdint>
#include <vector>

namespace mobileone {

enum class ResizeFilter { bilinear, bicubic };

/// Of one side: what each output is the weighted mean of.
struct ResizeTaps {
  std::int64_t in, out, most;         // most: weights of an output
  std::vector<std::int64_t> first;    // input pixel of each output
  std::vector<std::int64_t> count;    // weights of each output
  std::vector<std::int32_t> weights;  // [out][most], times 2^22
};

ResizeTaps resize_taps(ResizeFilter filter, std::int64_t in, std::int64_t out);

/// Interleaved pixels: pixel (y, x) at data[y * row + x * channels].
struct PictureView {
  const std::uint8_t* data = nullptr;
  std::int64_t height = 0, width = 0, channels = 0;
  std::int64_t row = 0;  // bytes
};

/// Writes [height][width][channels]. Sides are at least 1, channels 1 to 4.
void resize(const PictureView& picture, ResizeFilter filter, std::int64_t height,
            std::int64_t width, std::uint8_t* out);

}  // namespace mobileone
