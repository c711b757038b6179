// Elementary functions over arrays: exponential, sigmoid, SiLU.
#pragma once

namespace mobileone::kernels {

/// kExpNonpositive is e^x for x <= 0 only. Relative errors are a few units in the last place; see
/// arch/math.hpp for each function's behaviour at the ends of float's range.
enum class Elementwise { kExp, kExpNonpositive, kSigmoid, kSilu };

}  // namespace mobileone::kernels
