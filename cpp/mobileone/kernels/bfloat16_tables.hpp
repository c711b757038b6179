// The tables of bfloat16: blocks of their own, everything else as the instruction set has it.
#pragma once

#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels {

/// `base` with the blocks of Precision::kBfloat16; AVX2's are an emulation.
KernelTable bfloat16_table(const KernelTable& base);

}  // namespace mobileone::kernels
