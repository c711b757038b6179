#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// The instance, or the widest there is.
template <int kPixels, int kVectors, bool kSums, int kStep>
constexpr Microkernel kInstance =
    microkernel<(kPixels < max_pixels(kVectors) ? kPixels : max_pixels(kVectors)), kVectors, kSums,
                kStep>;

template <int kVectors, bool kSums, int kStep>
constexpr Microkernel kInstances[] = {
    nullptr,
    kInstance<1, kVectors, kSums, kStep>,
    kInstance<2, kVectors, kSums, kStep>,
    kInstance<3, kVectors, kSums, kStep>,
    kInstance<4, kVectors, kSums, kStep>,
    kInstance<5, kVectors, kSums, kStep>,
    kInstance<6, kVectors, kSums, kStep>,
    kInstance<7, kVectors, kSums, kStep>,
    kInstance<8, kVectors, kSums, kStep>,
    kInstance<9, kVectors, kSums, kStep>,
    kInstance<10, kVectors, kSums, kStep>,
    kInstance<11, kVectors, kSums, kStep>,
    kInstance<12, kVectors, kSums, kStep>,
    kInstance<13, kVectors, kSums, kStep>,
    kInstance<14, kVectors, kSums, kStep>,
};

template <bool kSums, int kStep>
Microkernel find(int pixels, int vectors) {
#ifdef __AVX512F__
  if (vectors == 1) return kInstances<1, kSums, kStep>[pixels];
#endif
  if (vectors == 3) return kInstances<3, kSums, kStep>[pixels];
  return kInstances<2, kSums, kStep>[pixels];
}

}  // namespace

Microkernel find_microkernel(int pixels, int vectors, bool sums, int step) {
  if (step == 2) return sums ? find<true, 2>(pixels, vectors) : find<false, 2>(pixels, vectors);
  return sums ? find<true, 1>(pixels, vectors) : find<false, 1>(pixels, vectors);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
