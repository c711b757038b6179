// The backend of plans that are run once, in evaluation: convolutions, sums of branches and linear
// layers whose weights are read where they lie.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::single_run {

// Null where the CPU has no kernels.
const Backend* backend();

}  // namespace mobileone::single_run
