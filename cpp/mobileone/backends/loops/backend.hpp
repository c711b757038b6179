// The backend that covers every operator, in plain loops on our own threads: any graph runs, and
// nothing has to be loaded for it.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::loops {

const Backend& backend();

}  // namespace mobileone::loops
