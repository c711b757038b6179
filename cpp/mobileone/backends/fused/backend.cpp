#include "mobileone/backends/fused/backend.hpp"

#include "mobileone/backends/fused/patterns.hpp"
#include "mobileone/backends/fused/reorder_step.hpp"
#include "mobileone/kernels/isa.hpp"

namespace mobileone::fused {

namespace {

class FusedBackend : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    if (builder.options().training) return 0;
    if (builder.node(ops[at].node).inputs.empty()) return 0;  // patterns begin with an input
    for (const Pattern& pattern : patterns()) {
      if (const std::size_t taken = pattern.emit({ops, at, builder}, builder)) return taken;
    }
    return 0;
  }

  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return reorder_step(from, to, builder);
  }

  bool storable() const override { return true; }
};

}  // namespace

const Backend* backend() {
  static const FusedBackend instance;
  return kernels::supported_isas().empty() ? nullptr : &instance;
}

}  // namespace mobileone::fused
