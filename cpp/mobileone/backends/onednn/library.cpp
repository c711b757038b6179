#include "mobileone/backends/onednn/library.hpp"

#include "mobileone/backends/onednn/backend.hpp"
#include "mobileone/backends/onednn/memory.hpp"

namespace mobileone::onednn {

namespace {

class ThisLibrary : public Library {
 public:
  const Backend& backend() const override { return onednn::backend(); }
  std::string version() const override { return onednn::version(); }
  int channel_block() const override { return onednn::channel_block(); }
};

}  // namespace

const Library& implementation() {
  static const ThisLibrary instance;
  return instance;
}

}  // namespace mobileone::onednn
