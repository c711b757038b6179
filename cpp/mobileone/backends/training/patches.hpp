// The patches of an ungrouped convolution as the rows of a matrix, few output pixels at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

// The convolution of which every pixel of so many channels is a patch.
inline Conv2d pixelwise(std::int64_t channels) {
  Conv2d conv;
  conv.in_channels = conv.out_channels = channels;
  return conv;
}

class Patches {
 public:
  // x as it lies in memory: nchw, or map_layout().
  Patches(const Conv2d& conv, const Value& x, const Shape& y);
  // The same in parts of another's number.
  Patches(const Conv2d& conv, const Value& x, const Shape& y, std::int64_t parts)
      : Patches(conv, x, y) {
    parts_ = parts;
  }

  // Whether an input pixel is a patch; then nothing is copied of an x in map_layout().
  bool pixelwise() const { return pixelwise_; }
  bool in_place() const { return in_place_; }
  std::int64_t taps() const { return taps_; }
  std::int64_t blocks() const { return training::blocks(taps_); }
  std::int64_t images() const { return images_; }
  std::int64_t pixels() const { return out_height_ * out_width_; }  // of the result
  // Of the result, in all: how many patches there are.
  std::int64_t count() const { return images_ * pixels(); }
  // Channel of the input that a tap reads.
  std::int64_t channel(std::int64_t tap) const { return tap / (kernel_[0] * kernel_[1]); }

  // An image's pixels in parts that keep a part's patches in the second-level cache.
  std::int64_t parts() const { return parts_; }
  Range part(std::int64_t index) const { return {pixels(), parts_, index}; }
  std::int64_t largest_part() const { return (pixels() + parts_ - 1) / parts_; }
  std::int64_t scratch_floats() const { return blocks() * kBlock * largest_part(); }

  // Patches of an image's pixels; `scratch` holds them unless they are in place.
  kernels::Columns read(const float* x, std::int64_t image, Range pixels, float* scratch) const;
  // Adds gradients of patches, [blocks][largest_part][16], to where they were read from.
  void scatter(const float* gradients, std::int64_t image, Range pixels, float* dx) const;
  // The other way round than `read`, of a pixelwise x in nchw: planes = rows + addend, which lies
  // as they do and may be null.
  void write(const float* rows, std::int64_t image, Range pixels, const float* addend,
             float* planes) const;
  // Near the mean of every tap's channel (shift.hpp), [blocks][16].
  void sample_shift(const float* x, float* shift, ThreadPool* pool) const;
  // Floats of an image of x, padding included.
  std::int64_t image_floats() const { return image_floats_; }

 private:
  struct Tap {
    std::int64_t row, column;  // of the kernel
    std::int64_t offset;       // floats from channel 0 of the patch's first pixel
  };
  // visit(block, its pixels in planes, floats from the image's first) of a pixelwise x in nchw.
  template <typename Visit>
  void for_planes(Range pixels, const Visit& visit) const;
  template <typename Visit>
  void for_taps(Range pixels, const Visit& visit) const;

  Extent kernel_, stride_, padding_;
  std::int64_t images_, height_, width_, out_height_, out_width_;
  std::int64_t pixel_floats_, image_floats_;
  std::int64_t taps_;
  std::int64_t parts_;
  bool pixelwise_, in_place_;
  std::vector<Tap> table_;
};

}  // namespace mobileone::training
