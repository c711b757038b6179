// Layer norm of tokens in lanes (Ba et al., 2016), without its gain and offset, which are folded
// into the linear layer that follows (pack_token_linear).
#pragma once

#include "mobileone/kernels/tokens/token_gemm.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// out = (x - mean) / sqrt(variance + eps) over the features of each of vectors * kLanes tokens of
/// a panel, [features][kPanel]. Two passes over x: the variance is that of the centred values.
void normalize(const float* x, int features, float eps, int vectors, float* out);

}  // namespace mobileone::kernels::MOBILEONE_ISA
