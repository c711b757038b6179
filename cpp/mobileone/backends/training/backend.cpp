#include "mobileone/backends/training/backend.hpp"

#include "mobileone/backends/training/cost.hpp"
#include "mobileone/backends/training/merged_convolution.hpp"
#include "mobileone/backends/training/operators.hpp"

namespace mobileone::training {

const kernels::KernelTable& table() {
  static const kernels::KernelTable& chosen = kernels::kernels(kernels::detect_isa());
  return chosen;
}

namespace {

class TrainingBackend : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    const TrainPath path = builder.options().train_path;
    if (path != TrainPath::branches) {
      const auto sum = match(ops, at, builder);
      if (sum && (path == TrainPath::moments || moments_are_faster(*sum, builder))) {
        sum->depthwise() ? emit_depthwise(*sum, builder) : emit_dense(*sum, builder);
        return sum->lowered;
      }
    }
    if (!builder.options().gradients) return 0;
    const LoweredOp& op = ops[at];
    return emit_plain(op, builder) || emit_linear(op, builder) || emit_attention(op, builder);
  }

  std::unique_ptr<Step> reorder(ValueId, ValueId, const PlanBuilder&) const override {
    return nullptr;
  }
};

}  // namespace

const Backend* backend() {
  static const TrainingBackend instance;
  return kernels::supported_isas().empty() ? nullptr : &instance;
}

}  // namespace mobileone::training
