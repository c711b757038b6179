#include "mobileone/backends/fused/patterns/quantized_linear_step.hpp"

#include "mobileone/backends/fused/patterns/quantized_step.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

struct Operands {
  kernels::ByteMeaning bytes;
  kernels::QuantizedLinearPlan plan;
  int batch = 0;
  std::shared_ptr<const void> weights;
  ValueId src = -1, dst = -1;

  int width() const { return kernels::padded(plan.inputs); }
};

// Features of all images are quantized first; units are panels of outputs, of all images at once.
class QuantizedLinearStep : public TiledStep {
 public:
  QuantizedLinearStep(StepInfo info, const Work& work, Operands operands)
      : TiledStep(std::move(info), work), operands_(std::move(operands)) {}

 protected:
  void begin_image(const Buffers& buffers, std::int64_t) const override {
    kernels::floats_to_bytes(operands_.bytes, floats(buffers, operands_.src), features(buffers),
                             std::ptrdiff_t{operands_.batch} * operands_.width());
  }
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::QuantizedLinearArgs args{features(buffers), floats(buffers, operands_.dst),
                                            operands_.batch,
                                            static_cast<const std::byte*>(operands_.weights.get())};
    quantized_kernels()->linear(operands_.plan, args, range.begin, range.end);
  }

 private:
  static std::uint8_t* features(const Buffers& buffers) {
    return reinterpret_cast<std::uint8_t*>(buffers.scratch());
  }
  Operands operands_;
};

}  // namespace

void emit_quantized_linear(const QuantizedLinearMatch& match, PlanBuilder& builder) {
  Operands operands{match.bytes, match.plan, 0, nullptr};
  operands.batch = static_cast<int>(builder.shape(match.source)[0]);
  const std::string key = key_of(match.conv, builder) + " linear";
  operands.weights = builder.packed(key, match.plan.packed_bytes(), [&](void* out) {
    kernels::pack_quantized_linear(match.plan, weights_of(match.conv, builder),
                                   static_cast<std::byte*>(out));
  });
  announce_stream(static_cast<const float*>(operands.weights.get()), match.plan.packed_bytes(),
                  builder);
  operands.src = builder.in_layout(match.source, Layout::blocked(kernels::kBlock));
  operands.dst = builder.new_result(match.result(), Layout::nchw(), true);
  TiledStep::Work work;
  work.units = match.plan.panels();
  work.threads = builder.options().threads;
  work.shared_bytes = std::size_t(operands.batch) * std::size_t(operands.width());
  work.in_turn = true;
  const ValueId src = operands.src, dst = operands.dst;
  builder.add_step(
      std::make_unique<QuantizedLinearStep>(
          describe(match.ops, builder, quantized_implementation()), work, std::move(operands)),
      {src}, {dst});
}

}  // namespace mobileone::fused
