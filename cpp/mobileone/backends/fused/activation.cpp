#include "mobileone/backends/fused/activation.hpp"

namespace mobileone::fused {

std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> activation) {
  return activation ? kernels::find_activation(to_string(*activation)) : kernels::Activation::kNone;
}

std::optional<kernels::Activation> map_activation(std::optional<ActivationKind> activation) {
  const auto found = kernel_activation(activation);
  const bool keeps_zero =
      found != kernels::Activation::kSigmoid && found != kernels::Activation::kHardSigmoid;
  return keeps_zero ? found : std::nullopt;
}

}  // namespace mobileone::fused
