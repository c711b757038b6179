// The instances of a kernel's template, by how many pixels they take.
#pragma once

#include <utility>

#include "mobileone/kernels/isa.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// [pixels], 1 to kMaxPixels.
template <typename Kernel>
struct Instances {
  Kernel of[kMaxPixels + 1];
  constexpr Kernel operator[](int pixels) const { return of[pixels]; }
};

/// Of instance.operator()<pixels>(), which for more pixels than it has registers for is the widest.
template <typename Kernel, typename Instance>
constexpr Instances<Kernel> make_instances(const Instance& instance) {
  return [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    return Instances<Kernel> { {nullptr, instance.template operator()<kIndex + 1>()...} };
  }(std::make_integer_sequence<int, kMaxPixels>());
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
