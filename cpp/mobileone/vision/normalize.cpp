#include "mobileone/vision/normalize.hpp"

#include "mobileone/base/error.hpp"

namespace mobileone {

std::vector<std::array<float, 256>> normalization_table(const Normalization& normalization) {
  const auto& [low, high, mean, std] = normalization;
  if (mean.size() != std.size()) {
    throw Error(concat("[normalize] ", mean.size(), " means and ", std.size(),
                       " standard deviations; expected one each per channel"));
  }
  std::vector<std::array<float, 256>> table(mean.size());
  for (std::size_t channel = 0; channel < table.size(); ++channel) {
    for (int pixel = 0; pixel < 256; ++pixel) {
      const double value = low + pixel * (high - low) / 255.0;
      table[channel][static_cast<std::size_t>(pixel)] =
          static_cast<float>((value - mean[channel]) / std[channel]);
    }
  }
  return table;
}

void normalize(const ImageView& images, const Normalization& normalization, float* out) {
  const auto& [count, channels, height, width] = images.shape;
  if (static_cast<std::int64_t>(normalization.mean.size()) != channels) {
    throw Error(concat("[normalize] images have ", channels, " channels; expected ",
                       normalization.mean.size(), ", as mean and std have"));
  }
  const auto table = normalization_table(normalization);
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const float* values = table[static_cast<std::size_t>(c)].data();
      for (std::int64_t h = 0; h < height; ++h) {
        const std::uint8_t* row =
            images.data + n * images.strides[0] + c * images.strides[1] + h * images.strides[2];
        for (std::int64_t w = 0; w < width; ++w) *out++ = values[row[w * images.strides[3]]];
      }
    }
  }
}

}  // namespace mobileone
