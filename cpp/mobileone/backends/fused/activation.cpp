#include "mobileone/backends/fused/activation.hpp"

#include <utility>

namespace mobileone::fused {

namespace {

constexpr std::pair<ActivationKind, kernels::Activation> kActivations[] = {
    {ActivationKind::relu, kernels::Activation::kRelu},
    {ActivationKind::silu, kernels::Activation::kSilu},
};

}  // namespace

std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> activation) {
  if (!activation) return kernels::Activation::kNone;
  for (const auto& [kind, kernel] : kActivations) {
    if (kind == *activation) return kernel;
  }
  return std::nullopt;
}

bool is_floor(kernels::Activation activation) {
  return activation == kernels::Activation::kNone || activation == kernels::Activation::kRelu;
}

}  // namespace mobileone::fused
