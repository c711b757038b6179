// Between blocked maps and panels of tokens.
#pragma once

#include "mobileone/kernels/tokens/token_gemm.hpp"
#include "mobileone/kernels/tokens/transformer.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// `count` tokens (a multiple of kLanes) from column `column` on, from a map of plan.shape.src(),
/// interpolated where the patches do not divide it: [channels_in][kPanel]. Columns of no token are
/// zero.
void unfold(const TransformerPlan& plan, const float* map, int column, int count, float* out);

/// The same columns, [channels_out][kPanel], to the interior of a map of plan.shape.last().
void fold(const TransformerPlan& plan, const float* tokens, int column, int count, float* map);

}  // namespace mobileone::kernels::MOBILEONE_ISA
