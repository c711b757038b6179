#include "mobileone/kernels/isa.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

std::string_view isa_name(Isa isa) { return isa == Isa::kAvx512 ? "avx512" : "avx2"; }

std::vector<Isa> supported_isas() {
  std::vector<Isa> found;
  // GCC's builtins also ask XGETBV whether the operating system saves the wide registers.
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    found.push_back(Isa::kAvx512);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(Isa::kAvx2);
  return found;
}

Isa detect_isa() {
  const std::vector<Isa> supported = supported_isas();
  const char* forced = std::getenv("MOBILEONE_MAX_ISA");
  if (forced != nullptr && *forced != '\0') {
    const std::string_view name = forced;
    if (name != "avx2" && name != "avx512") {
      throw std::invalid_argument("[kernels] MOBILEONE_MAX_ISA is \"" + std::string(name) +
                                  "\"; expected avx2 or avx512");
    }
    for (Isa isa : supported) {
      if (isa_name(isa) == name) return isa;
    }
    throw std::invalid_argument("[kernels] MOBILEONE_MAX_ISA is \"" + std::string(name) +
                                "\", which this CPU does not support");
  }
  if (supported.empty()) {
    throw std::runtime_error("[kernels] this CPU has neither AVX-512 nor AVX2 with FMA");
  }
  return supported.front();
}

}  // namespace mobileone::kernels
