#include "mobileone/kernels/bfloat16_tables.hpp"

namespace mobileone::kernels {

namespace avx2_bf16 {
void run_block(const BlockPlan&, const BlockArgs&, int unit_begin, int unit_end);
void run_stem(const StemPlan&, const StemArgs&, int row_begin, int row_end);
void run_stem_block(const StemBlockPlan&, const StemBlockArgs&, int tile_begin, int tile_end);
void linear(const LinearPlan&, const LinearArgs&, int panel_begin, int panel_end);
}  // namespace avx2_bf16
namespace avx512_bf16 {
void run_block(const BlockPlan&, const BlockArgs&, int unit_begin, int unit_end);
void run_stem(const StemPlan&, const StemArgs&, int row_begin, int row_end);
void run_stem_block(const StemBlockPlan&, const StemBlockArgs&, int tile_begin, int tile_end);
void linear(const LinearPlan&, const LinearArgs&, int panel_begin, int panel_end);
}  // namespace avx512_bf16

KernelTable bfloat16_table(const KernelTable& base) {
  KernelTable table = base;
  table.precision = Precision::kBfloat16;
  if (base.isa == Isa::kAvx512) {
    table.traits = avx512_bf16::kTraits;
    table.run_block = avx512_bf16::run_block;
    table.run_stem = avx512_bf16::run_stem;
    table.run_stem_block = avx512_bf16::run_stem_block;
    table.linear = avx512_bf16::linear;
  } else {
    table.emulated = true;
    table.traits = avx2_bf16::kTraits;
    table.run_block = avx2_bf16::run_block;
    table.run_stem = avx2_bf16::run_stem;
    table.run_stem_block = avx2_bf16::run_stem_block;
    table.linear = avx2_bf16::linear;
  }
  return table;
}

}  // namespace mobileone::kernels
