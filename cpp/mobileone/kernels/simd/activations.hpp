// The vector forms of all activations, from the rows of activation.hpp.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/simd/math.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

template <Activation kActivation>
Vec activate(Vec x) = delete;

#define MOBILEONE_FORM(kind, name, form, ...)                                   \
  template <>                                                                   \
  __attribute__((always_inline)) inline Vec activate<Activation::kind>(Vec x) { \
    return form;                                                                \
  }
MOBILEONE_ACTIVATIONS(MOBILEONE_FORM)
#undef MOBILEONE_FORM

/// The same for an activation that is not known when compiling: for short vectors.
inline Vec activate(Activation activation, Vec x) {
  switch (activation) {
#define MOBILEONE_CASE(kind, ...) \
  case Activation::kind:          \
    return activate<Activation::kind>(x);
    MOBILEONE_ACTIVATIONS(MOBILEONE_CASE)
#undef MOBILEONE_CASE
  }
  return x;
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
