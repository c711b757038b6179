// The machine's floating-point peak, as the yardstick of profiles and benchmarks.
#pragma once

#include <string>
#include <vector>

namespace mobileone::fused {

// Measured GFLOP/s of independent FMAs in registers on `threads` threads at once, with the
// instruction set in use: the fastest of several runs, about 20 ms. Throws Error when threads < 1,
// NotSupported on a CPU without AVX2 and FMA.
double peak_gflops(int threads);

// The instruction set in use ("avx512", "avx2", or "none": every step on oneDNN), and all that this
// CPU could use.
std::string isa_in_use();
std::vector<std::string> available_isas();
// Of the kernels of 8-bit integers: "avx512_vbmi", "avx512_vnni", "avx_vnni", "avx2_madd" or
// "none".
std::string quantized_isa_in_use();
// The precisions of which the one in use has instructions: "float32", "bfloat16".
std::vector<std::string> native_dtypes();

// What the layout of packed weights depends on, by name; nothing where there are no kernels.
std::vector<std::pair<std::string, int>> packing_parameters();

}  // namespace mobileone::fused
