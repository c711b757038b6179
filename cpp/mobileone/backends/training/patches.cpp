#include "mobileone/backends/training/patches.hpp"

#include <algorithm>

#include "mobileone/backends/training/shift.hpp"

namespace mobileone::training {

namespace {

// A part's patches, and their number: in the second-level cache, and enough to keep kernels busy.
constexpr std::int64_t kPartFloats = 1 << 16;
constexpr std::int64_t kLeastPixels = 28, kMostPixels = 392;

}  // namespace

Patches::Patches(const Conv2d& conv, const Value& x, const Shape& y)
    : kernel_(conv.kernel),
      stride_(conv.stride),
      padding_(conv.padding),
      images_(x.shape[0]),
      height_(x.shape[2]),
      width_(x.shape[3]),
      out_height_(y[2]),
      out_width_(y[3]),
      taps_(conv.in_channels * conv.kernel[0] * conv.kernel[1]),
      pixelwise_(conv.kernel == Extent{1, 1} && conv.stride == Extent{1, 1} &&
                 conv.padding == Extent{0, 0}) {
  const bool planes = x.layout.kind == Layout::Kind::nchw;
  in_place_ = pixelwise_ && !planes;
  const std::int64_t area = height_ * width_;
  pixel_floats_ = planes ? 1 : kBlock;
  image_floats_ = planes ? x.shape[1] * area : padded(x.shape[1]) * area;
  for (std::int64_t c = 0; c < conv.in_channels; ++c) {
    const std::int64_t plane = planes ? c * area : c / kBlock * area * kBlock + c % kBlock;
    for (std::int64_t row = 0; row < kernel_[0]; ++row) {
      for (std::int64_t column = 0; column < kernel_[1]; ++column) {
        table_.push_back({row, column, plane + (row * width_ + column) * pixel_floats_});
      }
    }
  }
  const std::int64_t wanted = std::clamp(kPartFloats / padded(taps_), kLeastPixels, kMostPixels);
  parts_ = (pixels() + wanted - 1) / wanted;
}

// visit(index of the pixel among `pixels`, tap, float of the image that it reads).
template <typename Visit>
void Patches::for_taps(Range pixels, const Visit& visit) const {
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end; ++pixel) {
    const std::int64_t row = pixel / out_width_ * stride_[0] - padding_[0];
    const std::int64_t column = pixel % out_width_ * stride_[1] - padding_[1];
    const std::int64_t first = (row * width_ + column) * pixel_floats_;
    const bool inside =
        row >= 0 && column >= 0 && row + kernel_[0] <= height_ && column + kernel_[1] <= width_;
    for (std::int64_t tap = 0; tap < taps_; ++tap) {
      const Tap& at = table_[static_cast<std::size_t>(tap)];
      const std::int64_t y = row + at.row, x = column + at.column;
      const bool in_image = inside || (y >= 0 && y < height_ && x >= 0 && x < width_);
      visit(pixel - pixels.begin, tap, in_image ? first + at.offset : -1);
    }
  }
}

template <typename Visit>
void Patches::for_planes(Range pixels, const Visit& visit) const {
  const std::int64_t step = this->pixels();
  for (std::int64_t block = 0; block < blocks(); ++block) {
    const std::int64_t channels = std::min(kBlock, taps_ - block * kBlock);
    visit(block, kernels::Planes{static_cast<int>(channels), pixels.end - pixels.begin, step},
          block * kBlock * step + pixels.begin);
  }
}

kernels::Columns Patches::read(const float* x, std::int64_t image, Range pixels,
                               float* scratch) const {
  const float* const from = x + image * image_floats_;
  const int columns = static_cast<int>(blocks());
  if (in_place_) return {from + pixels.begin * kBlock, this->pixels() * kBlock, columns};
  const std::int64_t block = largest_part() * kBlock;
  if (pixelwise_) {
    for_planes(pixels, [&](std::int64_t index, const kernels::Planes& planes, std::int64_t at) {
      table().planes_to_block(planes, from + at, scratch + index * block);
    });
    return {scratch, block, columns};
  }
  const std::int64_t count = pixels.end - pixels.begin;
  // Columns beyond the last tap hold zeros.
  std::fill_n(scratch + (blocks() - 1) * block, count * kBlock, 0.f);
  for_taps(pixels, [&](std::int64_t pixel, std::int64_t tap, std::int64_t at) {
    scratch[tap / kBlock * block + pixel * kBlock + tap % kBlock] = at < 0 ? 0.f : from[at];
  });
  return {scratch, block, columns};
}

void Patches::write(const float* rows, std::int64_t image, Range pixels, const float* addend,
                    float* planes) const {
  const std::int64_t block = largest_part() * kBlock, first = image * image_floats_;
  for_planes(pixels, [&](std::int64_t index, const kernels::Planes& shape, std::int64_t at) {
    table().block_to_planes(shape, rows + index * block, addend ? addend + first + at : nullptr,
                            planes + first + at);
  });
}

void Patches::sample_shift(const float* x, float* shift, ThreadPool* pool) const {
  const std::int64_t taps_of_channel = kernel_[0] * kernel_[1];
  std::fill_n(shift, blocks() * kBlock, 0.f);
  each(pool, taps_ / taps_of_channel, [&](std::int64_t channel, int) {
    const std::int64_t first = channel * taps_of_channel;
    const float* const plane = x + table_[static_cast<std::size_t>(first)].offset;
    std::fill_n(shift + first, taps_of_channel,
                sample_plane_shift(plane, images_, image_floats_, height_ * width_, pixel_floats_));
  });
}

void Patches::scatter(const float* gradients, std::int64_t image, Range pixels, float* dx) const {
  float* const to = dx + image * image_floats_;
  const std::int64_t block = largest_part() * kBlock;
  for_taps(pixels, [&](std::int64_t pixel, std::int64_t tap, std::int64_t at) {
    if (at >= 0) to[at] += gradients[tap / kBlock * block + pixel * kBlock + tap % kBlock];
  });
}

}  // namespace mobileone::training
