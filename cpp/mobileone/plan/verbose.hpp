// MOBILEONE_VERBOSE: what ran and how long it took, on the standard error stream.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/plan/step.hpp"

namespace mobileone {

// Whether the variable was set, to anything but "" and "0", when it was first asked for.
bool verbose();

// One line per step: microseconds, name, kind and implementation. One write for all of them, so
// that simultaneous runs do not mix.
void print_steps(const std::vector<StepInfo>& steps, const std::vector<std::int64_t>& nanoseconds);

}  // namespace mobileone
