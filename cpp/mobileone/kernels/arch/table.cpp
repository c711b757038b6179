#include "mobileone/kernels/arch/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

extern const KernelTable kTable;
const KernelTable kTable = {
    .isa = kLanes == 16 ? Isa::kAvx512 : Isa::kAvx2,
    .panel_blocks = kLanes == 16 ? 2 : 1,
    .linear_columns = kLinearVectors * kLanes,
    .run_dwpw = run_dwpw,
    .run_stem = run_stem,
    .run_stem_block = run_stem_block,
    .run_conv = run_conv,
    .run_inverted_residual = run_inverted_residual,
    .squeeze_excite = squeeze_excite,
    .global_pool = global_pool,
    .linear = linear,
    .elementwise = elementwise,
    .peak = peak,
    .read_sum = read_sum,
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
