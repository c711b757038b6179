#include "mobileone/backends/loops/vectors.hpp"

#include "mobileone/kernels/isa.hpp"

namespace mobileone::loops {

Vectors vectors() {
  static const Vectors chosen = [] {
    if (kernels::supported_isas().empty()) return Vectors::baseline;
    return kernels::detect_isa() == kernels::Isa::kAvx512 ? Vectors::avx512 : Vectors::avx2;
  }();
  return chosen;
}

}  // namespace mobileone::loops
