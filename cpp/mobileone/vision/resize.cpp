#include "mobileone/vision/resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "mobileone/base/error.hpp"
#include "mobileone/kernels/image/resample.hpp"

namespace mobileone {

namespace {

using kernels::kPixelBytes;
using kernels::kResampleBits;
using kernels::kResampleRows;

double response(ResizeFilter filter, double x) {
  x = std::abs(x);
  if (filter == ResizeFilter::bilinear) return x < 1.0 ? 1.0 - x : 0.0;
  if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
  return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

// Rows of the picture side by side, as the kernels take them; of the last one as often as there are
// none.
void interleave(const PictureView& picture, std::int64_t row, std::uint8_t* to) {
  const std::int64_t channels = picture.channels;
  // Pixels that are read together with the bytes after them.
  const std::int64_t whole = (picture.width * channels - kPixelBytes) / channels;
  for (int i = 0; i < kResampleRows; ++i) {
    const std::uint8_t* const from =
        picture.data + std::min(row + i, picture.height - 1) * picture.row;
    std::uint8_t* at = to + i * kPixelBytes;
    std::int64_t x = 0;
    for (; x < whole; ++x, at += kResampleRows * kPixelBytes) {
      std::memcpy(at, from + x * channels, kPixelBytes);
    }
    for (; x < picture.width; ++x, at += kResampleRows * kPixelBytes) {
      std::memcpy(at, from + x * channels, static_cast<std::size_t>(channels));
    }
  }
}

kernels::Resample view_of(const ResizeTaps& taps) {
  return {taps.out, taps.most, taps.first.data(), taps.count.data(), taps.weights.data()};
}

// [height][width][channels] from the picture's own width.
void filter_rows(const PictureView& picture, const ResizeTaps& taps, std::uint8_t* out) {
  const std::int64_t size = taps.out * picture.channels;
  const kernels::Resample side = view_of(taps);
  std::vector<std::uint8_t> pixels(
      static_cast<std::size_t>(kResampleRows * kPixelBytes * picture.width));
  for (std::int64_t y = 0; y < picture.height; y += kResampleRows) {
    interleave(picture, y, pixels.data());
    const std::int64_t rows = std::min<std::int64_t>(kResampleRows, picture.height - y);
    kernels::resample_kernels().along_rows(side, pixels.data(), static_cast<int>(picture.channels),
                                           static_cast<int>(rows), out + y * size, size);
  }
}

// [height][width][channels] from the picture's own height.
void filter_columns(const PictureView& picture, const ResizeTaps& taps, std::uint8_t* out) {
  for (std::int64_t y = 0; y < taps.out; ++y) {
    const auto row = static_cast<std::size_t>(y);
    kernels::resample_kernels().across_rows(picture.data + taps.first[row] * picture.row,
                                            picture.row, taps.weights.data() + y * taps.most,
                                            taps.count[row], out + y * picture.row);
  }
}

std::vector<std::uint8_t> copied(const PictureView& picture) {
  std::vector<std::uint8_t> pixels;
  const std::int64_t size = picture.width * picture.channels;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    const std::uint8_t* const row = picture.data + y * picture.row;
    pixels.insert(pixels.end(), row, row + size);
  }
  return pixels;
}

}  // namespace

ResizeTaps resize_taps(ResizeFilter filter, std::int64_t in, std::int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double stretch = std::max(scale, 1.0);
  const double reach = (filter == ResizeFilter::bilinear ? 1.0 : 2.0) * stretch;
  ResizeTaps taps{in, out, static_cast<std::int64_t>(std::ceil(reach)) * 2 + 1, {}, {}, {}};
  taps.weights.assign(static_cast<std::size_t>(out * taps.most), 0);
  std::vector<double> shares(static_cast<std::size_t>(taps.most));
  for (std::int64_t i = 0; i < out; ++i) {
    const double middle = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(middle - reach + 0.5));
    const auto end = std::min(in, static_cast<std::int64_t>(middle + reach + 0.5));
    double sum = 0.0;
    for (std::int64_t pixel = first; pixel < end; ++pixel) {
      const double distance = static_cast<double>(pixel) - middle + 0.5;
      const double share = response(filter, distance * (1.0 / stretch));
      shares[static_cast<std::size_t>(pixel - first)] = share;
      sum += share;
    }
    for (std::int64_t k = 0; k < end - first; ++k) {
      const double share = shares[static_cast<std::size_t>(k)];
      const double fixed = (sum != 0.0 ? share / sum : share) * (1 << kResampleBits);
      taps.weights[static_cast<std::size_t>(i * taps.most + k)] =
          static_cast<std::int32_t>(fixed + (fixed < 0.0 ? -0.5 : 0.5));
    }
    taps.first.push_back(first);
    taps.count.push_back(end - first);
  }
  return taps;
}

void resize(const PictureView& picture, ResizeFilter filter, std::int64_t height,
            std::int64_t width, std::uint8_t* out) {
  if (picture.height < 1 || picture.width < 1 || height < 1 || width < 1 || picture.channels < 1 ||
      picture.channels > kPixelBytes) {
    throw Error(concat("[resize] picture of ", picture.height, " x ", picture.width, " x ",
                       picture.channels, " to ", height, " x ", width,
                       "; expected sides of at least 1 and 1 to 4 channels"));
  }
  PictureView view = picture;
  std::vector<std::uint8_t> packed, between;
  if (picture.row != picture.width * picture.channels) {
    packed = copied(picture);
    view.data = packed.data();
    view.row = picture.width * picture.channels;
  }
  // The first side's result, if there is a second one's.
  const auto to = [&](bool last, std::int64_t bytes) {
    if (last) return out;
    between.resize(static_cast<std::size_t>(bytes));
    return between.data();
  };
  const bool columns = height != view.height, rows = width != view.width;
  if (!columns && !rows) {
    std::copy_n(view.data, view.height * view.row, out);
    return;
  }
  const auto filter_height = [&](bool last) {
    std::uint8_t* const result = to(last, height * view.row);
    filter_columns(view, resize_taps(filter, view.height, height), result);
    view = {result, height, view.width, view.channels, view.row};
  };
  const auto filter_width = [&](bool last) {
    std::uint8_t* const result = to(last, view.height * width * view.channels);
    filter_rows(view, resize_taps(filter, view.width, width), result);
    view = {result, view.height, width, view.channels, width * view.channels};
  };
  const bool columns_first =
      height < view.height && view.height - height > 2 * (view.width - width);
  if (columns && columns_first) filter_height(!rows);
  if (rows) filter_width(!columns || columns_first);
  if (columns && !columns_first) filter_height(true);
}

}  // namespace mobileone
