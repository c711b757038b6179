#include "mobileone/graph/dropout.hpp"

#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

namespace {

class BoundDropout : public BoundStep {
 public:
  BoundDropout(const DropoutMask& mask, std::int64_t count, ValueId src, ValueId dst,
               const Buffers& buffers)
      : mask_(mask), count_(count), src_(src), dst_(dst), buffers_(buffers) {}

  void run() override {
    const auto* src = static_cast<const float*>(buffers_.address(src_));
    auto* dst = static_cast<float*>(buffers_.address(dst_));
    const int threads = buffers_.threads();
    const auto scale = static_cast<float>(mask_.scale());
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (std::int64_t i = 0; i < count_; ++i) {
      dst[i] = mask_.keeps(static_cast<std::uint64_t>(i)) ? scale * src[i] : 0.f;
    }
  }

 private:
  const DropoutMask& mask_;
  std::int64_t count_;
  ValueId src_, dst_;
  const Buffers& buffers_;
};

class DropoutStep : public Step {
 public:
  DropoutStep(StepInfo info, const DropoutMask& mask, std::int64_t count, ValueId src, ValueId dst)
      : Step(std::move(info)), mask_(mask), count_(count), src_(src), dst_(dst) {}
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundDropout>(mask_, count_, src_, dst_, buffers);
  }

 private:
  DropoutMask mask_;
  std::int64_t count_;
  ValueId src_, dst_;
};

}  // namespace

void emit(const Dropout& dropout, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const CompileOptions& options = builder.options();
  if (!options.training || dropout.p == 0.0) {
    builder.alias(op.result, node.inputs[0]);
    return;
  }
  // Row-major, the order in which the mask counts elements.
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  builder.add_step(
      std::make_unique<DropoutStep>(describe(op, builder, "mobileone loop"),
                                    DropoutMask(options.dropout_seed, node.name, dropout.p),
                                    element_count(builder.shape(op.result)), src, dst),
      {src}, {dst});
}

}  // namespace mobileone::onednn
