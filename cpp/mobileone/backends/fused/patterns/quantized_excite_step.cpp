#include "mobileone/backends/fused/patterns/quantized_excite_step.hpp"

#include "mobileone/backends/fused/packed_squeeze.hpp"
#include "mobileone/backends/fused/patterns/quantized_step.hpp"

namespace mobileone::fused {

namespace {

// What both steps of an excitation do for an image first.
struct Gating {
  kernels::ByteMap map;
  kernels::BytePooling pooling;
  PackedSqueeze squeeze;

  int width() const { return kernels::padded(map.channels); }
  // Means, gates, and what is between the two layers.
  std::size_t scratch_bytes() const {
    return sizeof(float) * std::size_t(2 * width() + kernels::padded(squeeze.shape.reduced));
  }
  // Of an image: means, and after them gates, of each channel.
  void run(const std::uint8_t* image, float* means) const {
    quantized_kernels()->pool(map, image, pooling, means);
    float* const gates = means + width();
    table().squeeze_excite(squeeze.shape, means, 1, gates + width(), gates);
  }
};

Gating gating_of(const QuantizedExcite& match, PlanBuilder& builder) {
  return {byte_map(builder.shape(match.source)),
          {0, static_cast<int>(match.numbers.zero_point), static_cast<float>(match.numbers.scale)},
          pack_squeeze(match.squeeze, builder)};
}

// Has the steps before bring the two layers' weights.
void announce_weights(const Gating& gating, const PlanBuilder& builder) {
  announce_stream(gating.squeeze.shape.packed, gating.squeeze.shape.packed_floats() * sizeof(float),
                  builder);
}

// Gates of an image come before all of its rows, which are the units.
class QuantizedExciteStep : public TiledStep {
 public:
  QuantizedExciteStep(StepInfo info, const Work& work, const QuantizedExciteMatch& match,
                      Gating gating, ValueId src)
      : TiledStep(std::move(info), work),
        scaling_(match.scaling),
        factor_(static_cast<float>(match.numbers.scale) / match.result_scale),
        gating_(std::move(gating)),
        src_(src) {}

 protected:
  void begin_image(const Buffers& buffers, std::int64_t image) const override {
    gating_.run(bytes_of(buffers, src_, scaling_.map, image), shared(buffers));
    float* const gates = shared(buffers) + gating_.width();
    for (int c = 0; c < gating_.width(); ++c) gates[c] *= factor_;
  }
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::ByteMap& map = scaling_.map;
    quantized_kernels()->scale(
        scaling_, bytes_of(buffers, src_, map, range.image), shared(buffers) + gating_.width(),
        bytes_of(buffers, work().byte_map, map, range.image), range.begin, range.end);
  }

 private:
  static float* shared(const Buffers& buffers) {
    return reinterpret_cast<float*>(buffers.scratch());
  }
  kernels::ByteScaling scaling_;
  float factor_;
  Gating gating_;
  ValueId src_;
};

// One unit per image: there is little to do.
class QuantizedExcitePoolStep : public TiledStep {
 public:
  QuantizedExcitePoolStep(StepInfo info, const Work& work, Gating gating, bool relu, ValueId src,
                          ValueId dst)
      : TiledStep(std::move(info), work),
        gating_(std::move(gating)),
        relu_(relu),
        src_(src),
        dst_(dst) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const int width = gating_.width();
    const std::uint8_t* const image = bytes_of(buffers, src_, gating_.map, range.image);
    float* const means = reinterpret_cast<float*>(range.scratch);
    float* const gates = means + width;
    float* const result = floats(buffers, dst_) + range.image * width;
    gating_.run(image, means);
    if (!relu_) {
      for (int c = 0; c < width; ++c) result[c] = means[c] * gates[c];
      return;
    }
    // The mean of what a ReLU leaves: of numbers above 0, or of those below where a gate is.
    kernels::BytePooling above = gating_.pooling;
    above.least = above.zero_point;
    quantized_kernels()->pool(gating_.map, image, above, result);
    for (int c = 0; c < width; ++c) {
      result[c] = gates[c] * (gates[c] < 0.f ? means[c] - result[c] : result[c]);
    }
  }

 private:
  Gating gating_;
  bool relu_;
  ValueId src_, dst_;
};

// One unit per image: there is little to do.
class QuantizedPoolStep : public TiledStep {
 public:
  QuantizedPoolStep(StepInfo info, const Work& work, const kernels::ByteMap& map,
                    const Dequantize& numbers, ValueId src, ValueId dst)
      : TiledStep(std::move(info), work),
        map_(map),
        pooling_{0, static_cast<int>(numbers.zero_point), static_cast<float>(numbers.scale)},
        src_(src),
        dst_(dst) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    quantized_kernels()->pool(
        map_, bytes_of(buffers, src_, map_, range.image), pooling_,
        floats(buffers, dst_) + range.image * map_.blocks() * kernels::kBlock);
  }

 private:
  kernels::ByteMap map_;
  kernels::BytePooling pooling_;
  ValueId src_, dst_;
};

}  // namespace

void emit_quantized_excite(const QuantizedExciteMatch& match, PlanBuilder& builder) {
  Gating gating = gating_of(match, builder);
  announce_weights(gating, builder);
  const ValueId src = builder.value_of(match.source);
  auto work = byte_map_work(match.result(), match.scaling.map.height, 0, builder,
                            match.scaling.range.zero_point);
  work.shared_bytes = gating.scratch_bytes();
  work.in_turn = true;
  StepInfo info = describe(match.ops, builder, quantized_implementation());
  builder.add_step(
      std::make_unique<QuantizedExciteStep>(std::move(info), work, match, std::move(gating), src),
      {src}, {work.byte_map});
}

void emit_quantized_excite_pool(const QuantizedExcitePoolMatch& match, PlanBuilder& builder) {
  Gating gating = gating_of(match, builder);
  announce_weights(gating, builder);
  const ValueId src = builder.value_of(match.source);
  // [N][padded channels]: what the classifier reads.
  const ValueId dst = builder.new_result(match.result(), Layout::blocked(kernels::kBlock));
  TiledStep::Work work;
  work.images = builder.shape(match.source)[0];
  work.thread_bytes = gating.scratch_bytes();
  StepInfo info = describe(match.ops, builder, quantized_implementation());
  builder.add_step(std::make_unique<QuantizedExcitePoolStep>(
                       std::move(info), work, std::move(gating), match.relu, src, dst),
                   {src}, {dst});
}

void emit_quantized_pool(const QuantizedPoolMatch& match, PlanBuilder& builder) {
  const Shape& shape = builder.shape(match.source);
  const ValueId src = builder.value_of(match.source);
  const ValueId dst = builder.new_result(match.result(), Layout::blocked(kernels::kBlock));
  TiledStep::Work work;
  work.images = shape[0];
  builder.add_step(
      std::make_unique<QuantizedPoolStep>(describe(match.ops, builder, quantized_implementation()),
                                          work, byte_map(shape), match.numbers, src, dst),
      {src}, {dst});
}

}  // namespace mobileone::fused
