#include "mobileone/graph/activations.hpp"

namespace mobileone {

std::string read_attribute(const Attribute& from, ActivationKind& kind) {
  const auto* name = std::get_if<std::string>(&from);
  std::string names;
  for (const ActivationFunction& row : kActivations) {
    if (name && *name == row.name) {
      kind = row.kind;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return "one of " + names;
}

}  // namespace mobileone
