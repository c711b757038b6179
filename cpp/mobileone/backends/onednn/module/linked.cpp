#include "mobileone/backends/onednn/library.hpp"

namespace mobileone::onednn {

const Library& library() { return implementation(); }

}  // namespace mobileone::onednn
