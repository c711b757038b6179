// Maps of 8-bit integers from and to maps of float32 numbers, row by row of a channel block: row r
// is row r % height of block r / height. Borders are the caller's.
#pragma once

#include <array>

#include "mobileone/kernels/quantized/byte_map.hpp"

namespace mobileone::kernels {

/// What integers stand for: (q - zero_point) * scale.
struct ByteMeaning {
  float scale = 1.f;
  int zero_point = 0;
};

/// Rows [begin, end): (q - zero_point) * scale, and 0 in channels that pad the last block.
void bytes_to_floats(const ByteMap& map, const ByteMeaning& meaning, const std::uint8_t* src,
                     float* dst, int begin, int end);

/// Rows [begin, end): clamp(rint(x / scale) + zero_point, 0, 255), a float32 division, to nearest
/// even; NaN becomes the zero point.
void floats_to_bytes(const ByteMap& map, const ByteMeaning& meaning, const float* src,
                     std::uint8_t* dst, int begin, int end);

/// The same of a map of one row from and to tokens [width][channels]: channel blocks [begin, end).
void bytes_to_tokens(const ByteMap& map, const ByteMeaning& meaning, const std::uint8_t* src,
                     float* dst, int begin, int end);
void tokens_to_bytes(const ByteMap& map, const ByteMeaning& meaning, const float* src,
                     std::uint8_t* dst, int begin, int end);

/// The same as floats_to_bytes() of `count` numbers.
void floats_to_bytes(const ByteMeaning& meaning, const float* src, std::uint8_t* dst,
                     std::ptrdiff_t count);

using ByteTable = std::array<std::uint8_t, 256>;

/// Rows [begin, end): table[q].
void look_up_bytes(const ByteMap& map, const ByteTable& table, const std::uint8_t* src,
                   std::uint8_t* dst, int begin, int end);

}  // namespace mobileone::kernels
