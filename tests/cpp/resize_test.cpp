// Pictures at another size: every table of kernels against plain loops, what is read and written.
// (That the numbers are Pillow's is tested in Python.)
#include "mobileone/vision/resize.hpp"

#include <gtest/gtest.h>

#include <random>

#include "mobileone/base/error.hpp"
#include "mobileone/kernels/image/resample.hpp"
#include "mobileone/kernels/isa.hpp"

namespace mobileone {
namespace {

// Exactly as large as needed, so that the address sanitizer sees any access outside.
std::vector<std::uint8_t> pixels(std::int64_t count) {
  std::mt19937 engine(static_cast<unsigned>(count));
  std::vector<std::uint8_t> values(static_cast<std::size_t>(count));
  for (auto& value : values) value = static_cast<std::uint8_t>(engine() & 255);
  return values;
}

std::vector<const kernels::ResampleKernels*> tables() {
  std::vector<const kernels::ResampleKernels*> all;
  for (kernels::Isa isa : kernels::supported_isas()) {
    all.push_back(isa == kernels::Isa::kAvx512 ? &kernels::avx512::kResample
                                               : &kernels::avx2::kResample);
  }
  return all;
}

kernels::Resample view_of(const ResizeTaps& taps) {
  return {taps.out, taps.most, taps.first.data(), taps.count.data(), taps.weights.data()};
}

TEST(Resize, KernelsAreThePlainLoops) {
  for (const auto* table : tables()) {
    for (std::int64_t in : {1, 2, 7, 33, 100}) {
      for (std::int64_t out : {1, 3, 16, 21, 65, 150}) {
        for (ResizeFilter filter : {ResizeFilter::bilinear, ResizeFilter::bicubic}) {
          const ResizeTaps taps = resize_taps(filter, in, out);
          for (int channels = 1; channels <= 4; ++channels) {
            const auto rows = pixels(in * 16);
            for (int count : {1, 4}) {
              std::vector<std::uint8_t> found(static_cast<std::size_t>(count * out * channels), 7);
              auto expected = found;
              table->along_rows(view_of(taps), rows.data(), channels, count, found.data(),
                                out * channels);
              kernels::plain::kResample.along_rows(view_of(taps), rows.data(), channels, count,
                                                   expected.data(), out * channels);
              EXPECT_EQ(found, expected) << in << " to " << out << ", " << channels;
            }
          }
          const auto columns = pixels(in * out);
          std::vector<std::uint8_t> found(static_cast<std::size_t>(out)), expected(found);
          table->across_rows(columns.data(), out, taps.weights.data(), taps.count[0], found.data());
          kernels::plain::kResample.across_rows(columns.data(), out, taps.weights.data(),
                                                taps.count[0], expected.data());
          EXPECT_EQ(found, expected) << in << " rows of " << out;
        }
      }
    }
  }
}

TEST(Resize, ConstantPicturesStayConstant) {
  for (ResizeFilter filter : {ResizeFilter::bilinear, ResizeFilter::bicubic}) {
    for (std::uint8_t value : {0, 1, 128, 255}) {
      const std::vector<std::uint8_t> picture(std::size_t{31 * 17 * 3}, value);
      std::vector<std::uint8_t> out(std::size_t{50 * 9 * 3});
      resize({picture.data(), 31, 17, 3, 51}, filter, 50, 9, out.data());
      EXPECT_EQ(out, std::vector<std::uint8_t>(out.size(), value));
    }
  }
}

TEST(Resize, TheSameSizeIsACopyAndRowsMayBeApart) {
  const auto picture = pixels(5 * 16);
  std::vector<std::uint8_t> out(std::size_t{5 * 12}), expected;
  for (std::size_t y = 0; y < 5; ++y) {
    const auto row = picture.begin() + static_cast<std::ptrdiff_t>(16 * y);
    expected.insert(expected.end(), row, row + 12);
  }
  resize({picture.data(), 5, 4, 3, 16}, ResizeFilter::bicubic, 5, 4, out.data());
  EXPECT_EQ(out, expected);
}

TEST(Resize, WeightsAreSharesOfTheFilter) {
  // Half the size, bilinear: a tent of four pixels, 1 : 3 : 3 : 1.
  const ResizeTaps taps = resize_taps(ResizeFilter::bilinear, 8, 4);
  EXPECT_EQ(taps.first[1], 1);
  EXPECT_EQ(taps.count[1], 4);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(taps.weights[static_cast<std::size_t>(taps.most) + i],
              (i == 0 || i == 3 ? 1 : 3) << (kernels::kResampleBits - 3));
  }
}

TEST(Resize, RejectsEmptySides) {
  const auto picture = pixels(12);
  std::vector<std::uint8_t> out(12);
  EXPECT_THROW(resize({picture.data(), 2, 2, 3, 6}, ResizeFilter::bilinear, 0, 2, out.data()),
               Error);
  EXPECT_THROW(resize({picture.data(), 2, 2, 5, 10}, ResizeFilter::bilinear, 1, 1, out.data()),
               Error);
}

}  // namespace
}  // namespace mobileone
