// oneDNN's steps come from a shared object beside the extension, loaded when first needed.
#pragma once

#include <string>

namespace mobileone::python {

// Version and commit: of the oneDNN in use, or, before any is, of the one that the build came with.
std::string onednn_version();

}  // namespace mobileone::python
