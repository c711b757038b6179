#include <algorithm>

#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// The instance, or the widest there is.
template <int kPixels, int kVectors, Outputs kOutputs, int kStep>
constexpr Microkernel kInstance =
    microkernel<std::min(kPixels, kOutputs == Outputs::kOuter ? max_outer_pixels(kVectors)
                                                              : max_pixels(kVectors)),
                kVectors, kOutputs, kStep>;

template <int kVectors, Outputs kOutputs, int kStep>
constexpr Microkernel kInstances[] = {
    nullptr,
    kInstance<1, kVectors, kOutputs, kStep>,
    kInstance<2, kVectors, kOutputs, kStep>,
    kInstance<3, kVectors, kOutputs, kStep>,
    kInstance<4, kVectors, kOutputs, kStep>,
    kInstance<5, kVectors, kOutputs, kStep>,
    kInstance<6, kVectors, kOutputs, kStep>,
    kInstance<7, kVectors, kOutputs, kStep>,
    kInstance<8, kVectors, kOutputs, kStep>,
    kInstance<9, kVectors, kOutputs, kStep>,
    kInstance<10, kVectors, kOutputs, kStep>,
    kInstance<11, kVectors, kOutputs, kStep>,
    kInstance<12, kVectors, kOutputs, kStep>,
    kInstance<13, kVectors, kOutputs, kStep>,
    kInstance<14, kVectors, kOutputs, kStep>,
};

template <Outputs kOutputs, int kStep>
Microkernel find(int pixels, int vectors) {
#ifdef __AVX512F__
  if (vectors == 1) return kInstances<1, kOutputs, kStep>[pixels];
#endif
  if (vectors == 3) return kInstances<3, kOutputs, kStep>[pixels];
  return kInstances<2, kOutputs, kStep>[pixels];
}

}  // namespace

Microkernel find_microkernel(int pixels, int vectors, Outputs outputs, int step) {
  using enum Outputs;
  if (outputs == kOuter) {
    if constexpr (kTraits.per_lane > 1) {
      return nullptr;  // no plan of bfloat16 asks for one
    } else {
      return find<kOuter, 2>(pixels, vectors);
    }
  }
  const bool sums = outputs == kSums;
  if (step == 2) return sums ? find<kSums, 2>(pixels, vectors) : find<kMap, 2>(pixels, vectors);
  return sums ? find<kSums, 1>(pixels, vectors) : find<kMap, 1>(pixels, vectors);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
