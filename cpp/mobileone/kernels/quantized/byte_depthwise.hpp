// A depthwise 3x3 or 5x5 convolution of bytes: rows of one block of 16 channels.
#pragma once

#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Output rows [begin, end) of channel block `block`, `pitch` bytes apart. `scratch`: of a 5x5
/// kernel QuantizedBlockPlan::wide_bytes().
void depthwise_bytes(const QuantizedBlockShape& shape, const std::uint8_t* src, int block,
                     const std::byte* taps, int begin, int end, std::uint8_t* to,
                     std::ptrdiff_t pitch, std::uint8_t* scratch);

}  // namespace mobileone::kernels::MOBILEONE_ISA
