#include "mobileone/kernels/arch/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

template <int kVectors>
constexpr Microkernel kInstances[] = {
    nullptr,
    microkernel<1, kVectors>,
    microkernel<2, kVectors>,
    microkernel<3, kVectors>,
    microkernel<4, kVectors>,
    microkernel<5, kVectors>,
    microkernel<6, kVectors>,
#ifdef __AVX512F__
    microkernel<7, kVectors>,
    microkernel<8, kVectors>,
    microkernel<9, kVectors>,
#endif
};

#ifdef __AVX512F__
template <int kVectors>
constexpr Microkernel kTallInstances[] = {
    microkernel<10, kVectors>, microkernel<11, kVectors>, microkernel<12, kVectors>,
    microkernel<13, kVectors>, microkernel<14, kVectors>,
};
#endif

}  // namespace

Microkernel find_microkernel(int pixels, int vectors) {
#ifdef __AVX512F__
  if (pixels >= 10)
    return vectors == 1 ? kTallInstances<1>[pixels - 10] : kTallInstances<2>[pixels - 10];
  if (vectors == 1) return kInstances<1>[pixels];
  if (vectors == 3) return kInstances<3>[pixels];
#endif
  (void)vectors;
  return kInstances<2>[pixels];
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
