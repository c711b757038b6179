#include "mobileone/backends/onednn/backend.hpp"

#include "mobileone/backends/onednn/covered.hpp"
#include "mobileone/backends/onednn/steps.hpp"
#include "mobileone/backends/onednn/team.hpp"
#include "mobileone/base/allocation.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::onednn {

namespace {

class OnednnBackend : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    const LoweredOp& op = ops[at];
    const Node& node = builder.node(op.node);
    if (!covers(node.op, builder.shape(op.result))) return 0;
    const TeamScope scope(builder.options().threads);
    try {
      std::visit(
          [&](const auto& attributes) {
            if constexpr (covered<std::decay_t<decltype(attributes)>>) {
              onednn::emit(attributes, op, builder);
            }
          },
          node.op);
    } catch (const dnnl::error& error) {
      if (error.status == dnnl_out_of_memory) {
        const std::int64_t elements = element_count(builder.shape(op.result));
        throw AllocationError(concat("oneDNN, for the result of ", node.name),
                              static_cast<std::size_t>(elements) * sizeof(float));
      }
      throw NotSupported(concat("[", kind_name(node.op), "] ", node.name, ": oneDNN refuses ",
                                to_string(builder.shape(op.result)), ": ", error.what()));
    }
    return 1;
  }

  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    const TeamScope scope(builder.options().threads);
    return reorder_step(from, to, builder);
  }
};

}  // namespace

const Backend& backend() {
  static const OnednnBackend instance;
  return instance;
}

}  // namespace mobileone::onednn
