#include "mobileone/backends/fused/activation.hpp"

namespace mobileone::fused {

std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> kind) {
  return kind ? kernels::find_activation(to_string(*kind)) : kernels::Activation::kNone;
}

std::optional<kernels::Activation> map_activation(std::optional<ActivationKind> kind) {
  const bool keeps_zero = !kind || activation(*kind).value(0.0) == 0.0;
  return keeps_zero ? kernel_activation(kind) : std::nullopt;
}

}  // namespace mobileone::fused
