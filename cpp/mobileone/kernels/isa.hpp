// Instruction sets the kernels are compiled for, and which one this process uses.
#pragma once

#include <string_view>
#include <vector>

namespace mobileone::kernels {

enum class Isa { kAvx2, kAvx512 };

/// "avx2" or "avx512", the spelling that MOBILEONE_MAX_ISA takes.
std::string_view isa_name(Isa isa);

/// What this CPU and operating system can run, fastest first. Empty on a CPU without AVX2 and FMA.
std::vector<Isa> supported_isas();

/// The instruction set to use: the fastest supported one, or the one MOBILEONE_MAX_ISA forces.
/// Throws std::invalid_argument when the variable names an unknown or an unsupported set, and
/// std::runtime_error when the CPU supports none.
Isa detect_isa();

}  // namespace mobileone::kernels
