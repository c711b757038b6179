#include "mobileone/backends/loops/backend.hpp"

#include "mobileone/backends/loops/emit.hpp"

namespace mobileone::loops {

namespace {

class LoopsBackend : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    const LoweredOp& op = ops[at];
    std::visit(
        [&](const auto& attributes) {
          // The input is a value of the plan before any step.
          if constexpr (!std::is_same_v<std::decay_t<decltype(attributes)>, Input>) {
            loops::emit(attributes, op, builder);
          }
        },
        builder.node(op.node).op);
    return 1;
  }

  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return reorder_step(from, to, builder);
  }
};

}  // namespace

const Backend& backend() {
  static const LoopsBackend instance;
  return instance;
}

}  // namespace mobileone::loops
