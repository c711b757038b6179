#include "mobileone/backends/fused/patterns/quantized_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

struct ByteOperands {
  std::shared_ptr<const void> weights;
  ValueId src = -1, dst = -1;

  const std::byte* packed() const { return static_cast<const std::byte*>(weights.get()); }
};

// Units are rows.
class QuantizedStemStep : public TiledStep {
 public:
  QuantizedStemStep(StepInfo info, const Work& work, const kernels::QuantizedStemPlan& plan,
                    ByteOperands operands)
      : TiledStep(std::move(info), work), plan_(plan), operands_(std::move(operands)) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const std::ptrdiff_t pixels = std::ptrdiff_t{plan_.height} * plan_.width;
    const kernels::QuantizedStemArgs args{
        floats(buffers, operands_.src) + range.image * 3 * pixels,
        bytes_of(buffers, operands_.dst, plan_.dst(), range.image), operands_.packed(),
        range.scratch};
    quantized_kernels()->run_stem(plan_, args, range.begin, range.end);
  }

 private:
  kernels::QuantizedStemPlan plan_;
  ByteOperands operands_;
};

// Units are tiles of rows.
class QuantizedBlockStep : public TiledStep {
 public:
  QuantizedBlockStep(StepInfo info, const Work& work, const kernels::QuantizedBlockPlan& plan,
                     ByteOperands operands)
      : TiledStep(std::move(info), work), plan_(plan), operands_(std::move(operands)) {}
  std::ptrdiff_t bring(const float* data, std::ptrdiff_t floats) override {
    const std::size_t bytes =
        std::min(std::size_t(floats) * sizeof(float), plan_.bring_bytes() - brought_);
    if (bytes == 0) return 0;
    after_.push_back({reinterpret_cast<const std::byte*>(data), bytes});
    brought_ += bytes;
    return static_cast<std::ptrdiff_t>(bytes / sizeof(float));
  }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::QuantizedBlockArgs args{
        bytes_of(buffers, operands_.src, plan_.shape.src(), range.image),
        bytes_of(buffers, operands_.dst, plan_.shape.dst(), range.image), operands_.packed(),
        range.scratch, after_};
    quantized_kernels()->run_block(plan_, args, range.begin, range.end);
  }

 private:
  kernels::QuantizedBlockPlan plan_;
  ByteOperands operands_;
  std::vector<std::span<const std::byte>> after_;
  std::size_t brought_ = 0;
};

}  // namespace

std::string quantized_implementation(const std::string& details) {
  return concat("fused ", quantized_kernels()->name, " int8", details);
}

kernels::QuantizedWeights weights_of(NodeId id, const PlanBuilder& builder) {
  const auto find = [&](const char* name) {
    return builder.network().weight(builder.node(id).name + name).f32();
  };
  return {find(".weight"), find(".bias"), find(".multiplier")};
}

std::string key_of(NodeId id, const PlanBuilder& builder) {
  return concat(builder.node(id).name, " fused ", quantized_kernels()->name);
}

TiledStep::Work byte_map_work(NodeId result, int units, std::size_t scratch, PlanBuilder& builder,
                              std::int64_t zero_point) {
  TiledStep::Work work;
  work.byte_map = builder.new_result(result, byte_layout(zero_point));
  work.byte_shape = byte_map(builder.shape(result));
  work.zero_point = static_cast<int>(zero_point);
  work.images = builder.shape(result)[0];
  work.units = units;
  work.threads = builder.options().threads;
  work.thread_bytes = scratch;
  return work;
}

void emit_quantized_stem(const QuantizedStemMatch& match, PlanBuilder& builder) {
  ByteOperands operands;
  operands.weights =
      builder.packed(key_of(match.conv, builder), match.plan.packed_bytes(), [&](void* out) {
        kernels::pack_quantized_stem(match.plan, weights_of(match.conv, builder),
                                     static_cast<std::byte*>(out));
      });
  operands.src = builder.value_of(match.image);
  const ValueId src = operands.src;
  const auto work = byte_map_work(match.result(), match.plan.dst().height,
                                  match.plan.scratch_bytes(), builder, match.plan.range.zero_point);
  operands.dst = work.byte_map;
  StepInfo info = describe(match.ops, builder, quantized_implementation());
  builder.add_step(
      std::make_unique<QuantizedStemStep>(std::move(info), work, match.plan, std::move(operands)),
      {src}, {work.byte_map});
}

void emit_quantized_block(const QuantizedBlockMatch& match, PlanBuilder& builder) {
  const kernels::QuantizedBlockPlan plan = kernels::plan_quantized_block(
      quantized_kernels()->traits, match.shape, builder.options().threads);
  ByteOperands operands;
  const auto find = [&](NodeId id) {
    return id < 0 ? kernels::QuantizedWeights{} : weights_of(id, builder);
  };
  // A projection with its depthwise convolution is packed otherwise than alone.
  const std::string key =
      concat(match.shape.has_depthwise() ? "" : "alone ", key_of(match.ops.back()->node, builder));
  operands.weights = builder.packed(key, plan.packed_bytes(), [&](void* out) {
    kernels::pack_quantized_block(plan, find(match.depthwise), find(match.project),
                                  static_cast<std::byte*>(out));
  });
  operands.src = builder.value_of(match.source);
  const ValueId src = operands.src;
  const kernels::ByteRange& range =
      match.shape.has_project() ? match.shape.project : match.shape.depthwise;
  const auto work =
      byte_map_work(match.result(), plan.tiles(), plan.scratch_bytes(), builder, range.zero_point);
  operands.dst = work.byte_map;
  StepInfo info =
      describe(match.ops, builder, quantized_implementation(concat(" rows=", plan.tile_rows)));
  builder.add_step(
      std::make_unique<QuantizedBlockStep>(std::move(info), work, plan, std::move(operands)), {src},
      {work.byte_map});
}

}  // namespace mobileone::fused
