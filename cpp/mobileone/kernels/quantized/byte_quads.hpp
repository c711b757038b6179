// Four rows of a channel as the four factors of a dot product.
#pragma once

#include "mobileone/kernels/quantized/bytes.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Four channels of each pixel in a vector, every one with its bytes of four rows: 16 channels.
struct Quads {
  Bytes vector[4];
};

/// As a sum takes them: the rows' bytes are the four factors of one dot product.
MOBILEONE_INLINE Quads interleave(Bytes a, Bytes b, Bytes c, Bytes d) {
  const Bytes low = low_bytes(a, b), high = high_bytes(a, b);
  const Bytes low2 = low_bytes(c, d), high2 = high_bytes(c, d);
  return {{low_pairs(low, low2), high_pairs(low, low2), low_pairs(high, high2),
           high_pairs(high, high2)}};
}

/// The first `pixels` pixels, or all.
MOBILEONE_INLINE void store_some(std::uint8_t* to, Bytes x, int pixels) {
  if (pixels >= kPixelsPerVector) return store(to, x);
  store_pixels(to, x, pixels);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
