#include "mobileone/backends/fused/patterns/quantized_step.hpp"

#include "mobileone/backends/fused/packed_squeeze.hpp"
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

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::QuantizedBlockArgs args{
        bytes_of(buffers, operands_.src, plan_.shape.src(), range.image),
        bytes_of(buffers, operands_.dst, plan_.shape.dst(), range.image), operands_.packed(),
        range.scratch};
    quantized_kernels()->run_block(plan_, args, range.begin, range.end);
  }

 private:
  kernels::QuantizedBlockPlan plan_;
  ByteOperands operands_;
};

// One unit per image, whose mean comes before all of its rows.
class QuantizedExciteStep : public TiledStep {
 public:
  QuantizedExciteStep(StepInfo info, const Work& work, const kernels::ByteScaling& scaling,
                      PackedSqueeze squeeze, ValueId src)
      : TiledStep(std::move(info), work),
        scaling_(scaling),
        squeeze_(std::move(squeeze)),
        src_(src) {}

  // Means, what is between the two layers, and gates.
  static std::size_t scratch_bytes(const kernels::SqueezeExcite& shape) {
    return sizeof(float) *
           std::size_t(2 * kernels::padded(shape.channels) + kernels::padded(shape.reduced));
  }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::ByteMap& map = scaling_.map;
    const std::uint8_t* const src = bytes_of(buffers, src_, map, range.image);
    auto* const means = reinterpret_cast<float*>(range.scratch);
    float* const gates = means + kernels::padded(map.channels);
    float* const hidden = gates + kernels::padded(map.channels);
    quantized_kernels()->pool(map, src, scaling_.zero_point, scaling_.scale, means);
    table().squeeze_excite(squeeze_.shape, means, 1, hidden, gates);
    quantized_kernels()->scale(scaling_, src, gates,
                               bytes_of(buffers, work().byte_map, map, range.image), 0, map.height);
  }

 private:
  kernels::ByteScaling scaling_;
  PackedSqueeze squeeze_;
  ValueId src_;
};

// One unit per image: there is little to do.
class QuantizedPoolStep : public TiledStep {
 public:
  QuantizedPoolStep(StepInfo info, const Work& work, const kernels::ByteMap& map,
                    const Dequantize& numbers, ValueId src, ValueId dst)
      : TiledStep(std::move(info), work), map_(map), numbers_(numbers), src_(src), dst_(dst) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    quantized_kernels()->pool(
        map_, bytes_of(buffers, src_, map_, range.image), static_cast<int>(numbers_.zero_point),
        static_cast<float>(numbers_.scale),
        floats(buffers, dst_) + range.image * map_.blocks() * kernels::kBlock);
  }

 private:
  kernels::ByteMap map_;
  Dequantize numbers_;
  ValueId src_, dst_;
};

// Looked up when asked for: the network of a stored plan has none.
kernels::QuantizedWeights weights_of(NodeId id, const PlanBuilder& builder) {
  const auto find = [&](const char* name) {
    return builder.network().weight(builder.node(id).name + name).f32();
  };
  return {find(".weight"), find(".bias"), find(".multiplier")};
}

std::string key_of(NodeId id, const PlanBuilder& builder) {
  return concat(builder.node(id).name, " fused ", quantized_kernels()->name);
}

std::string name_of(const std::string& details = "") {
  return concat("fused ", quantized_kernels()->name, " int8", details);
}

// Of a step that writes a map of bytes, which it makes.
TiledStep::Work work_of(NodeId result, int units, std::size_t scratch, PlanBuilder& builder,
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

}  // namespace

void emit_quantized_stem(const QuantizedStemMatch& match, PlanBuilder& builder) {
  ByteOperands operands;
  operands.weights =
      builder.packed(key_of(match.conv, builder), match.plan.packed_bytes(), [&](void* out) {
        kernels::pack_quantized_stem(match.plan, weights_of(match.conv, builder),
                                     static_cast<std::byte*>(out));
      });
  operands.src = builder.value_of(match.image);
  const ValueId src = operands.src;
  const auto work = work_of(match.result(), match.plan.dst().height, match.plan.scratch_bytes(),
                            builder, match.plan.range.zero_point);
  operands.dst = work.byte_map;
  StepInfo info = describe(match.ops, builder, name_of());
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
      work_of(match.result(), plan.tiles(), plan.scratch_bytes(), builder, range.zero_point);
  operands.dst = work.byte_map;
  StepInfo info = describe(match.ops, builder, name_of(concat(" rows=", plan.tile_rows)));
  builder.add_step(
      std::make_unique<QuantizedBlockStep>(std::move(info), work, plan, std::move(operands)), {src},
      {work.byte_map});
}

void emit_quantized_excite(const QuantizedExciteMatch& match, PlanBuilder& builder) {
  PackedSqueeze squeeze = pack_squeeze(match.squeeze, builder);
  const ValueId src = builder.value_of(match.source);
  const auto work = work_of(match.result(), 1, QuantizedExciteStep::scratch_bytes(squeeze.shape),
                            builder, match.scaling.result_zero_point);
  builder.add_step(
      std::make_unique<QuantizedExciteStep>(describe(match.ops, builder, name_of()), work,
                                            match.scaling, std::move(squeeze), src),
      {src}, {work.byte_map});
}

void emit_quantized_pool(const QuantizedPoolMatch& match, PlanBuilder& builder) {
  const Shape& shape = builder.shape(match.source);
  const ValueId src = builder.value_of(match.source);
  // [N][padded channels]: what the classifier reads.
  const ValueId dst = builder.new_result(match.result(), Layout::blocked(kernels::kBlock));
  TiledStep::Work work;
  work.images = shape[0];
  builder.add_step(
      std::make_unique<QuantizedPoolStep>(describe(match.ops, builder, name_of()), work,
                                          byte_map(shape), match.numbers, src, dst),
      {src}, {dst});
}

}  // namespace mobileone::fused
