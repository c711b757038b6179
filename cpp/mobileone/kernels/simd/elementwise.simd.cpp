#include "mobileone/kernels/elementwise.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/math.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

template <typename F>
void apply(const float* src, float* dst, std::ptrdiff_t count, const F& function) {
  for (std::ptrdiff_t i = 0; i < count; i += kLanes) store(dst + i, function(load(src + i)));
}

}  // namespace

void elementwise(Elementwise function, const float* src, float* dst, std::ptrdiff_t count) {
  switch (function) {
    case Elementwise::kExp:
      return apply(src, dst, count, [](Vec x) { return exp(x); });
    case Elementwise::kExp2Saturating:
      return apply(src, dst, count, [](Vec x) { return exp2_saturating(x); });
    case Elementwise::kSigmoid:
      return apply(src, dst, count, [](Vec x) { return sigmoid(x); });
    case Elementwise::kSilu:
      return apply(src, dst, count, [](Vec x) { return silu(x); });
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
