// Between blocked maps and panels of tokens.
#pragma once

#include "mobileone/kernels/arch/token_gemm.hpp"
#include "mobileone/kernels/transformer.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// The tokens of panel `panel` from a map of plan.shape.src(), interpolated where the patches do
/// not divide it: [channels_in][kPanel]. Columns of no token are zero.
void unfold_panel(const TransformerPlan& plan, const float* map, int panel, float* out);

/// The tokens of panel `panel`, [channels_out][kPanel], to the interior of a map of
/// plan.shape.last().
void fold_panel(const TransformerPlan& plan, const float* tokens, int panel, float* map);

}  // namespace mobileone::kernels::MOBILEONE_ISA
