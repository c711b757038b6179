// Instruction sets the kernels are compiled for, and which one this process uses.
//
// Another one is an enumerator and its traits here, a row of the table in isa.cpp, its compiler
// flags in CMakeLists.txt and its vector type in simd/simd.hpp.
#pragma once

#include <string_view>
#include <vector>

namespace mobileone::kernels {

enum class Isa { kAvx2, kAvx512 };
inline constexpr int kNumIsas = 2;

/// What planning and packing need to know of an instruction set.
struct IsaTraits {
  int lanes;         // floats of a vector
  int registers;     // vectors
  int panel_blocks;  // width of a pointwise panel / 16
  int pixels;      // of a microkernel's widest group: accumulators, a panel's vectors, 1 broadcast
  int row_pixels;  // groups of at least so many keep the multipliers busy
  int linear_vectors;  // width of a classifier's panel, in vectors
  int per_lane = 1;    // numbers of a projection's operands in 32 bits: 2 of bfloat16

  /// Whether depthwise kernels make rows in pairs (depthwise/row_pairs.hpp): their weights need the
  /// registers; bfloat16's are emulated without.
  constexpr bool row_pairs() const { return per_lane > 1 || registers >= 32; }
  /// Outputs of a classifier's panel: what LinearPlan::panel_columns takes.
  constexpr int linear_columns() const { return linear_vectors * lanes; }
  /// What plan_transformer takes: tokens of a panel, and rows of its weights packed together.
  constexpr int token_columns() const { return 2 * lanes; }
  constexpr int token_rows() const { return pixels; }
};

namespace avx2 {
inline constexpr Isa kIsa = Isa::kAvx2;
inline constexpr IsaTraits kTraits{.lanes = 8,
                                   .registers = 16,
                                   .panel_blocks = 1,
                                   .pixels = 6,
                                   .row_pixels = 5,
                                   .linear_vectors = 7};
}  // namespace avx2
namespace avx512 {
inline constexpr Isa kIsa = Isa::kAvx512;
inline constexpr IsaTraits kTraits{.lanes = 16,
                                   .registers = 32,
                                   .panel_blocks = 2,
                                   .pixels = 14,
                                   .row_pixels = 8,
                                   .linear_vectors = 7};
}  // namespace avx512

// The same sets with projections on bfloat16: as instructions, and emulated.
constexpr IsaTraits with_bfloat16(IsaTraits traits) {
  traits.per_lane = 2;
  return traits;
}
namespace avx512_bf16 {
inline constexpr Isa kIsa = Isa::kAvx512;
inline constexpr IsaTraits kTraits = with_bfloat16(avx512::kTraits);
}  // namespace avx512_bf16
namespace avx2_bf16 {
inline constexpr Isa kIsa = Isa::kAvx2;
inline constexpr IsaTraits kTraits = with_bfloat16(avx2::kTraits);
}  // namespace avx2_bf16

/// Of any set: the widest group of pixels.
inline constexpr int kMaxPixels = 14;

/// "avx2" or "avx512", the spelling that MOBILEONE_MAX_ISA takes.
std::string_view isa_name(Isa isa);

/// What this CPU and operating system can run, fastest first. Empty on a CPU without AVX2 and FMA.
std::vector<Isa> supported_isas();

/// The instruction set to use: the fastest supported one, or the one MOBILEONE_MAX_ISA forces.
/// Throws std::invalid_argument when the variable names an unknown or an unsupported set, and
/// std::runtime_error when the CPU supports none.
Isa detect_isa();

}  // namespace mobileone::kernels
