#include <cstdlib>
#include <string_view>

#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/quantized/quantized.hpp"

namespace mobileone::kernels {

namespace avx512_vbmi {
extern const QuantizedKernels kQuantizedKernels;
}
namespace avx512_vnni {
extern const QuantizedKernels kQuantizedKernels;
}
namespace avx_vnni {
extern const QuantizedKernels kQuantizedKernels;
}
namespace avx2_madd {
extern const QuantizedKernels kQuantizedKernels;
}

namespace {

bool has_avx_vnni() { return __builtin_cpu_supports("avxvnni"); }

}  // namespace

std::vector<const QuantizedKernels*> supported_quantized_kernels() {
  std::vector<const QuantizedKernels*> found;
  const std::vector<Isa> isas = supported_isas();
  if (isas.empty()) return found;
  const Isa widest = detect_isa();
  if (widest == Isa::kAvx512 && __builtin_cpu_supports("avx512vnni")) {
    if (__builtin_cpu_supports("avx512vbmi")) found.push_back(&avx512_vbmi::kQuantizedKernels);
    found.push_back(&avx512_vnni::kQuantizedKernels);
  }
  if (has_avx_vnni()) found.push_back(&avx_vnni::kQuantizedKernels);
  found.push_back(&avx2_madd::kQuantizedKernels);
  return found;
}

}  // namespace mobileone::kernels
