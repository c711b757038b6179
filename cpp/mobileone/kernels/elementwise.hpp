// Elementary functions over arrays: exponential, sigmoid, SiLU.
#pragma once

namespace mobileone::kernels {

/// kExp2Saturating is 2^x for |x| <= 125. Relative errors are a few units in the last place; see
/// simd/math.hpp for each function's behaviour at the ends of float's range.
enum class Elementwise { kExp, kExp2Saturating, kSigmoid, kSilu };

}  // namespace mobileone::kernels
