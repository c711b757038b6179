// Activations that kernels apply to what they have just computed.
#pragma once

namespace mobileone::kernels {

enum class Activation { kNone, kRelu, kSilu };

}  // namespace mobileone::kernels
