// 8-bit images: the formula, any strides, nothing outside the image is read.
#include "mobileone/vision/normalize.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "mobileone/base/error.hpp"

namespace mobileone {
namespace {

const Normalization kImageNet{0.0, 1.0, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};

// Exactly as large as needed, so that the address sanitizer sees any access outside.
std::vector<std::uint8_t> pixels(std::size_t count) {
  std::vector<std::uint8_t> values(count);
  std::iota(values.begin(), values.end(), std::uint8_t{0});
  return values;
}

std::vector<float> normalized(const ImageView& view, const Normalization& normalization) {
  std::vector<float> out(
      static_cast<std::size_t>(view.shape[0] * view.shape[1] * view.shape[2] * view.shape[3]));
  normalize(view, normalization, out.data());
  return out;
}

TEST(Normalize, TableIsTheFormulaRoundedOnce) {
  const auto table = normalization_table(kImageNet);
  ASSERT_EQ(table.size(), 3u);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t pixel = 0; pixel < 256; ++pixel) {
      const double value =
          (static_cast<double>(pixel) / 255.0 - kImageNet.mean[channel]) / kImageNet.std[channel];
      EXPECT_EQ(table[channel][pixel], static_cast<float>(value)) << channel << ' ' << pixel;
    }
  }
}

TEST(Normalize, RangeAndStatisticsAreExactWhereTheyCanBe) {
  const auto table = normalization_table({-1.0, 1.0, {0.5}, {0.25}});
  EXPECT_EQ(table[0][0], -6.0f);
  EXPECT_EQ(table[0][255], 2.0f);
  EXPECT_EQ(normalization_table({0.0, 255.0, {0.0}, {1.0}})[0][137], 137.0f);
}

TEST(Normalize, ChannelsLastAndFirstAgree) {
  constexpr std::int64_t kCount = 2, kHeight = 3, kWidth = 5;
  const auto last = pixels(kCount * kHeight * kWidth * 3);
  std::vector<std::uint8_t> first(last.size());
  for (std::int64_t n = 0; n < kCount; ++n)
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t i = 0; i < kHeight * kWidth; ++i)
        first[static_cast<std::size_t>((n * 3 + c) * kHeight * kWidth + i)] =
            last[static_cast<std::size_t>((n * kHeight * kWidth + i) * 3 + c)];
  const std::array<std::int64_t, 4> shape{kCount, 3, kHeight, kWidth};
  const ImageView from_last{last.data(), shape, {kHeight * kWidth * 3, 1, kWidth * 3, 3}};
  const ImageView from_first{
      first.data(), shape, {3 * kHeight * kWidth, kHeight * kWidth, kWidth, 1}};
  EXPECT_EQ(normalized(from_last, kImageNet), normalized(from_first, kImageNet));
}

TEST(Normalize, NegativeAndZeroStrides) {
  const Normalization identity{0.0, 255.0, {0.0}, {1.0}};
  const auto values = pixels(6);
  const ImageView turned{&values[5], {1, 1, 2, 3}, {0, 0, -3, -1}};
  EXPECT_EQ(normalized(turned, identity), (std::vector<float>{5, 4, 3, 2, 1, 0}));
  const ImageView repeated{values.data(), {1, 1, 2, 3}, {0, 0, 0, 1}};
  EXPECT_EQ(normalized(repeated, identity), (std::vector<float>{0, 1, 2, 0, 1, 2}));
  const ImageView swapped{&values[1], {1, 2, 1, 3}, {0, -1, 0, 2}};
  EXPECT_EQ(normalized(swapped, {0.0, 255.0, {0.0, 0.0}, {1.0, 1.0}}),
            (std::vector<float>{1, 3, 5, 0, 2, 4}));
}

TEST(Normalize, NoImagesNeedNoMemory) {
  normalize({nullptr, {0, 3, 32, 32}, {3072, 1024, 32, 1}}, kImageNet, nullptr);
}

TEST(Normalize, StatisticsMustFitTheChannels) {
  EXPECT_THROW(normalized({nullptr, {0, 4, 8, 8}, {}}, kImageNet), Error);
  EXPECT_THROW(normalization_table({0.0, 1.0, {0.0, 0.0}, {1.0}}), Error);
}

}  // namespace
}  // namespace mobileone
