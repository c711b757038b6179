#include "mobileone/backends/loops/backend.hpp"

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/emit_backward.hpp"

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
            if (builder.wants_gradient(op.result)) {
              builder.on_backward([=, &builder] { emit_backward(attributes, op, builder); });
            }
          }
        },
        builder.node(op.node).op);
    return 1;
  }

  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return reorder_step(from, to, builder);
  }
  std::unique_ptr<Step> sum(const std::vector<ValueId>& from, ValueId to,
                            const PlanBuilder& builder) const override {
    return sum_step(from, to, builder);
  }
  std::unique_ptr<Step> activation_gradient(ActivationKind kind, const ActivationGradient& values,
                                            const PlanBuilder& builder) const override {
    return activation_gradient_step(kind, values, builder);
  }
  std::unique_ptr<Step> cross_entropy(const CrossEntropy& values,
                                      const PlanBuilder& builder) const override {
    return cross_entropy_step(values, builder);
  }
};

}  // namespace

const Backend& backend() {
  static const LoopsBackend instance;
  return instance;
}

}  // namespace mobileone::loops
