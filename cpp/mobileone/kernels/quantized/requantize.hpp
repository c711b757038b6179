// From 32-bit sums to bytes: clamp(rint(float32(sum) * multiplier) + zero_point, least, 255).
#pragma once

#include "mobileone/kernels/quantized/bytes.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

class Requantize {
 public:
  explicit Requantize(const ByteRange& range)
      : plain_(range.zero_point == 0 && range.least == 0),
        top_(broadcast_float(static_cast<float>(255 - range.zero_point))),
        zero_point_(broadcast_pairs(range.zero_point)),
        least_(broadcast_bytes(range.least)) {}

  /// Whether the zero point and the least are 0, which saturation to bytes sees to.
  bool plain() const { return plain_; }

  /// Scaled sums whose magnitude may be too large for 32 bits: only of multipliers from 1 on.
  MOBILEONE_INLINE Floats limit(Floats scaled) const { return limited(scaled, top_); }

  MOBILEONE_INLINE Sums round(Sums sum, const std::byte* multiplier) const {
    return nearest(limit(scaled_sums(sum, hold_floats(multiplier))));
  }

  /// Of each lane a's, b's, c's and d's four rounded numbers as bytes.
  template <bool kPlain>
  MOBILEONE_INLINE Bytes pack(Sums a, Sums b, Sums c, Sums d) const {
    const Bytes first = narrow_sums(a, b), second = narrow_sums(c, d);
    if constexpr (kPlain) return narrow_pairs(first, second);
    return larger_bytes(narrow_pairs(add_pairs(first, zero_point_), add_pairs(second, zero_point_)),
                        least_);
  }

 private:
  bool plain_;
  Floats top_;
  Bytes zero_point_, least_;
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
