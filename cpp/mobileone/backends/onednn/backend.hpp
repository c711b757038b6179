// The backend of the operators that oneDNN has a primitive for (covered.hpp).
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::onednn {

const Backend& backend();

}  // namespace mobileone::onednn
