#include "mobileone/kernels/activation.hpp"

namespace mobileone::kernels {

namespace {

#define MOBILEONE_NAME(kind, name, ...) name,
constexpr std::string_view kNames[] = {MOBILEONE_ACTIVATIONS(MOBILEONE_NAME)};
#undef MOBILEONE_NAME

}  // namespace

std::string_view activation_name(Activation activation) {
  return kNames[static_cast<int>(activation)];
}

std::optional<Activation> find_activation(std::string_view name) {
  for (Activation activation : kActivations) {
    if (activation_name(activation) == name) return activation;
  }
  return std::nullopt;
}

}  // namespace mobileone::kernels
