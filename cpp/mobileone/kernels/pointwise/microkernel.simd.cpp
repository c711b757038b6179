#include <algorithm>

#include "mobileone/kernels/pointwise/microkernel.hpp"
#include "mobileone/kernels/simd/instances.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

template <int kVectors, Outputs kOutputs, int kStep>
constexpr auto kInstances = make_instances<Microkernel>([]<int kPixels>() -> Microkernel {
  constexpr int kMost =
      kOutputs == Outputs::kOuter ? max_outer_pixels(kVectors) : max_pixels(kVectors);
  return microkernel<std::min(kPixels, kMost), kVectors, kOutputs, kStep>;
});

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
