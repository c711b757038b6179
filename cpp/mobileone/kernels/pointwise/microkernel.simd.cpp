#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

template <int kVectors, bool kSums>
constexpr Microkernel kInstances[] = {
    nullptr,
    microkernel<1, kVectors, kSums>,
    microkernel<2, kVectors, kSums>,
    microkernel<3, kVectors, kSums>,
    microkernel<4, kVectors, kSums>,
    microkernel<5, kVectors, kSums>,
    microkernel<6, kVectors, kSums>,
#ifdef __AVX512F__
    microkernel<7, kVectors, kSums>,
    microkernel<8, kVectors, kSums>,
#endif
};

#ifdef __AVX512F__
template <int kVectors, bool kSums>
constexpr Microkernel kTallInstances[] = {
    microkernel<9, kVectors, kSums>,  microkernel<10, kVectors, kSums>,
    microkernel<11, kVectors, kSums>, microkernel<12, kVectors, kSums>,
    microkernel<13, kVectors, kSums>, microkernel<14, kVectors, kSums>,
};
#endif

template <bool kSums>
Microkernel find(int pixels, int vectors) {
#ifdef __AVX512F__
  if (pixels >= 9) {
    const int index = pixels - 9;
    return vectors == 1 ? kTallInstances<1, kSums>[index] : kTallInstances<2, kSums>[index];
  }
  if (vectors == 1) return kInstances<1, kSums>[pixels];
  if (vectors == 3) return kInstances<3, kSums>[pixels];
#endif
  (void)vectors;
  return kInstances<2, kSums>[pixels];
}

}  // namespace

Microkernel find_microkernel(int pixels, int vectors, bool sums) {
  return sums ? find<true>(pixels, vectors) : find<false>(pixels, vectors);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
