// Weighted means of neighbouring pixels of 8-bit pictures, in integers: the passes of a resize.
//
// sum = 2^21 + weights * bytes, shifted right by 22 bits and cut to 0..255: the same on every
// machine, in any order of the sum.
#pragma once

#include <cstdint>

namespace mobileone::kernels {

inline constexpr int kResampleBits = 22;  // of the weights' fractions
inline constexpr int kResampleRows = 4;   // that are filtered at once
inline constexpr int kPixelBytes = 4;     // of an interleaved pixel

/// One side: output i is the weighted mean of `count[i]` pixels from `first[i]` on.
struct Resample {
  std::int64_t outputs = 0;
  std::int64_t most = 0;  // weights of an output, [outputs][most]
  const std::int64_t* first = nullptr;
  const std::int64_t* count = nullptr;
  const std::int32_t* weights = nullptr;  // times 2^22
};

struct ResampleKernels {
  /// Along rows, of `rows` <= 4 at once. pixels: [x][4 rows][4 bytes], whose bytes beyond
  /// `channels` may be anything. Row i is written to `to` + i * `row`, and nothing beyond its end.
  void (*along_rows)(const Resample&, const std::uint8_t* pixels, int channels, int rows,
                     std::uint8_t* to, std::int64_t row);
  /// Across `count` rows of `size` bytes.
  void (*across_rows)(const std::uint8_t* from, std::int64_t size, const std::int32_t* weights,
                      std::int64_t count, std::uint8_t* to);
};

/// Of the widest vectors that this process may use, or plain loops.
const ResampleKernels& resample_kernels();

namespace plain {
extern const ResampleKernels kResample;
}
namespace avx2 {
extern const ResampleKernels kResample;
}
namespace avx512 {
extern const ResampleKernels kResample;
}

}  // namespace mobileone::kernels
