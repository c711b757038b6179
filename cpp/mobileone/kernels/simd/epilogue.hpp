// What follows a sum that lies in L1: residual and activation, in place.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/layout.hpp"
#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

inline constexpr float kUnlimited = -__builtin_inff();

/// What the microkernel's floor can do of an activation.
inline float activation_floor(Activation activation) {
  return activation == Activation::kRelu || activation == Activation::kRelu6 ? 0.0f : kUnlimited;
}
/// The same of a kernel that has a ceiling, too.
inline float activation_ceiling(Activation activation) {
  return activation == Activation::kRelu6 ? 6.0f : -kUnlimited;
}
/// Whether floor and ceiling are all that the activation needs.
inline bool is_clamp(Activation activation) {
  return is_floor(activation) || activation == Activation::kRelu6;
}

/// data[i] = activation(data[i] + other[i]) for `count` floats, a multiple of kBlock; `other` may
/// be null. An element's bits do not depend on where it lies.
void finish_in_place(Activation activation, const float* other, float* data, std::ptrdiff_t count);

/// The same without `other`, and nothing where the microkernels' floor was all.
inline void activate_in_place(Activation activation, float* data, std::ptrdiff_t count) {
  if (!is_floor(activation)) finish_in_place(activation, nullptr, data, count);
}

/// Zeroes what an activation of 0 has left in the channels that pad a map's last block: `channels`
/// from this block on are the map's own.
void keep_padding_zero(Activation activation, int channels, float* data, std::ptrdiff_t count);

/// The floor of microkernels whose sums `epilogue` follows: finish_rows does the rest.
inline float epilogue_floor(const Epilogue& epilogue) {
  return epilogue.residual ? kUnlimited : activation_floor(epilogue.activation);
}

/// Blocks and rows of a map.
struct MapPart {
  int block_begin, block_end;
  int row_begin, row_end;
};

/// What the floor has left to do of an epilogue, on a part of a map that has just been written.
/// `residual` is a map of the same shape, if there is one.
void finish_rows(const Epilogue& epilogue, const MapShape& shape, const MapPart& part,
                 const float* residual, float* map);

}  // namespace mobileone::kernels::MOBILEONE_ISA
