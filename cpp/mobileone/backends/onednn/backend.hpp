// The backend that covers every operator, on oneDNN primitives.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::onednn {

const Backend& backend();

}  // namespace mobileone::onednn
