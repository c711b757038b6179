#include "mobileone/kernels/image/resample.hpp"

#include <algorithm>

#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::kernels {

namespace plain {
namespace {

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kResampleBits, 0, 255));
}

void along_rows(const Resample& side, const std::uint8_t* pixels, int channels, int rows,
                std::uint8_t* to, std::int64_t row) {
  for (int y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < side.outputs; ++x) {
      for (int c = 0; c < channels; ++c) {
        std::int32_t sum = 1 << (kResampleBits - 1);
        for (std::int64_t i = 0; i < side.count[x]; ++i) {
          const std::int64_t pixel = (side.first[x] + i) * kResampleRows + y;
          sum += pixels[pixel * kPixelBytes + c] * side.weights[x * side.most + i];
        }
        to[y * row + x * channels + c] = rounded(sum);
      }
    }
  }
}

void across_rows(const std::uint8_t* from, std::int64_t size, const std::int32_t* weights,
                 std::int64_t count, std::uint8_t* to) {
  for (std::int64_t at = 0; at < size; ++at) {
    std::int32_t sum = 1 << (kResampleBits - 1);
    for (std::int64_t i = 0; i < count; ++i) sum += from[i * size + at] * weights[i];
    to[at] = rounded(sum);
  }
}

}  // namespace

const ResampleKernels kResample{along_rows, across_rows};

}  // namespace plain

const ResampleKernels& resample_kernels() {
  switch (vectors()) {
    case Vectors::avx512:
      return avx512::kResample;
    case Vectors::avx2:
      return avx2::kResample;
    case Vectors::baseline:
      break;
  }
  return plain::kResample;
}

}  // namespace mobileone::kernels
