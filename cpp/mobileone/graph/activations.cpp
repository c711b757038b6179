#include "mobileone/graph/activations.hpp"

namespace mobileone {

std::string read_attribute(const Attribute& from, ActivationKind& kind) {
  return read_named(from, kActivations, kind);
}

}  // namespace mobileone
