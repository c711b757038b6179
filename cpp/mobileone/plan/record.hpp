// Records: what steps decided and a stored plan hands back, so that they decide the same again.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace mobileone {

// Decisions of one step by name. `plan/` does not know what they mean: whoever makes the step
// writes them, and checks what it reads.
using Record = std::map<std::string, std::int64_t>;

// Those of all steps, each filed under a name of a node that it executes.
using Records = std::map<std::string, Record>;

}  // namespace mobileone
