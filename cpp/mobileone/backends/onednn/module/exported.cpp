// The one symbol of the shared object that the Python extension loads.
#include "mobileone/backends/onednn/library.hpp"

extern "C" [[gnu::visibility("default")]] const mobileone::onednn::Library* mobileone_onednn() {
  return &mobileone::onednn::implementation();
}
