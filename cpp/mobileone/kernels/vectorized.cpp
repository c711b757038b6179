#include "mobileone/kernels/vectorized.hpp"

#include "mobileone/kernels/isa.hpp"

namespace mobileone::kernels {

Vectors vectors() {
  static const Vectors chosen = [] {
    if (supported_isas().empty()) return Vectors::baseline;
    return detect_isa() == Isa::kAvx512 ? Vectors::avx512 : Vectors::avx2;
  }();
  return chosen;
}

}  // namespace mobileone::kernels
