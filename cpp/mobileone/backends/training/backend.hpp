// The backend of training: sums of linear branches, each with its batch norm, run as one
// convolution made of the moments of the input, forward and backward (docs/training.md).
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::training {

// Null where the CPU has no kernels.
const Backend* backend();

}  // namespace mobileone::training
