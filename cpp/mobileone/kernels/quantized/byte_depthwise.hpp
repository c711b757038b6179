// A depthwise 3x3 convolution of bytes: rows of one block of 16 channels.
#pragma once

#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Output rows [begin, end) of channel block `block`, `pitch` bytes apart.
void depthwise_bytes(const QuantizedBlockShape& shape, const std::uint8_t* src, int block,
                     const std::byte* taps, int begin, int end, std::uint8_t* to,
                     std::ptrdiff_t pitch);

}  // namespace mobileone::kernels::MOBILEONE_ISA
