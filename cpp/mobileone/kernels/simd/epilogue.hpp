// What follows a sum that lies in L1: residual and activation, in place.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/simd/math.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

inline constexpr float kUnlimited = -__builtin_inff();

/// What the microkernel's floor can do of an activation.
inline float activation_floor(Activation activation) {
  return activation == Activation::kRelu ? 0.0f : kUnlimited;
}

/// data[i] = silu(data[i]) for `count` floats, a multiple of kBlock.
void silu_in_place(float* data, std::ptrdiff_t count);

/// data[i] = activation(data[i] + other[i]); `other` may be null.
void finish_in_place(Activation activation, const float* other, float* data, std::ptrdiff_t count);

}  // namespace mobileone::kernels::MOBILEONE_ISA
