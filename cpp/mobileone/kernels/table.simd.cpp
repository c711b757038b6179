#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"
#include "mobileone/kernels/tokens/token_gemm.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

extern const KernelTable kTable;
const KernelTable kTable = {
    .isa = kIsa,
    .precision = Precision::kFloat32,
    .emulated = false,
    .traits = kTraits,
    .run_block = run_block,
    .squeeze_excite = squeeze_excite,
    .run_stem = run_stem,
    .run_stem_block = run_stem_block,
    .run_conv = run_conv,
    .run_stem_conv = run_stem_conv,
    .run_depthwise_map = run_depthwise_map,
    .run_channel_moves = run_channel_moves,
    .sum_maps = sum_maps,
    .max_map = max_map,
    .global_pool = global_pool,
    .linear = linear,
    .transform_tokens = transform_tokens,
    .attention = attention,
    .attention_forward = attention_forward,
    .attention_gradient = attention_gradient,
    .resize_map = resize_map,
    .multiply = multiply,
    .add_outer_products = add_outer_products,
    .shift_columns = shift_columns,
    .depthwise_forward = depthwise_forward,
    .depthwise_moments = depthwise_moments,
    .depthwise_weight_gradient = depthwise_weight_gradient,
    .depthwise_input_gradient = depthwise_input_gradient,
    .planes_to_block = planes_to_block,
    .block_to_planes = block_to_planes,
    .multiply_rows = multiply_rows,
    .finish = finish_in_place,
    .elementwise = elementwise,
    .peak = peak,
    .read_sum = read_sum,
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
