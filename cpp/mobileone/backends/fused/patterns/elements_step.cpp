#include "mobileone/backends/fused/patterns/elements_step.hpp"

#include "mobileone/backends/fused/packed_squeeze.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

struct ElementsOperands {
  kernels::MapSum sum;  // without pointers
  PackedSqueeze excite;
  ValueId a = -1, b = -1, dst = -1;

  // Shared scratch: the squeeze-and-excitation's means, hidden layer and factors.
  std::ptrdiff_t channels() const { return kernels::padded(sum.shape.channels); }
  std::ptrdiff_t hidden() const { return kernels::padded(excite.shape.reduced); }
  std::ptrdiff_t scratch_floats() const { return excite ? 2 * channels() + hidden() : 0; }
};

class ElementsStep : public TiledStep {
 public:
  ElementsStep(StepInfo info, const Work& work, ElementsOperands operands)
      : TiledStep(std::move(info), work), operands_(std::move(operands)) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  // The factors of an image.
  void begin_image(const Buffers& buffers, std::int64_t image) const override {
    if (!operands_.excite) return;
    float *const mean = scratch(buffers), *const hidden = mean + operands_.channels();
    const kernels::MapShape& shape = operands_.sum.shape;
    table().global_pool(shape, map_of(buffers, operands_.a, shape, image), nullptr, mean);
    table().squeeze_excite(operands_.excite.shape, mean, 1, hidden, hidden + operands_.hidden());
  }
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    kernels::MapSum sum = operands_.sum;
    sum.a = map_of(buffers, operands_.a, sum.shape, range.image);
    if (operands_.b >= 0) sum.b = map_of(buffers, operands_.b, sum.shape, range.image);
    if (operands_.excite) sum.factor = scratch(buffers) + operands_.channels() + operands_.hidden();
    sum.dst = map_of(buffers, operands_.dst, sum.shape, range.image);
    table().sum_maps(sum, range.begin, range.end);
  }

 private:
  static float* scratch(const Buffers& buffers) {
    return reinterpret_cast<float*>(buffers.scratch());
  }

  ElementsOperands operands_;
};

class MaximaStep : public TiledStep {
 public:
  MaximaStep(StepInfo info, const Work& work, const kernels::MapMaxima& maxima, ValueId src,
             ValueId dst)
      : TiledStep(std::move(info), work), maxima_(maxima), src_(src), dst_(dst) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    table().max_map(maxima_, map_of(buffers, src_, maxima_.src, range.image),
                    map_of(buffers, dst_, maxima_.dst(), range.image), range.begin, range.end);
  }

 private:
  kernels::MapMaxima maxima_;
  ValueId src_, dst_;
};

// Of a map that is written block by block.
TiledStep::Work work_of(ValueId map, const Shape& shape, const PlanBuilder& builder) {
  TiledStep::Work work;
  work.map = map;
  work.map_shape = map_shape(shape);
  work.images = shape[0];
  work.units = kernels::blocks(work.map_shape.channels);
  work.threads = builder.options().threads;
  return work;
}

}  // namespace

void emit_elements(const ElementsMatch& match, PlanBuilder& builder) {
  const Shape& shape = builder.shape(match.result());
  ElementsOperands operands;
  operands.sum.shape = map_shape(shape);
  operands.sum.activation = match.activation;
  if (match.excite) operands.excite = pack_squeeze(*match.excite, builder);
  operands.a = builder.in_layout(match.a, map_layout());
  std::vector<ValueId> reads{operands.a};
  if (match.b >= 0) {
    operands.b = builder.in_layout(match.b, map_layout());
    reads.push_back(operands.b);
  }
  operands.dst = builder.new_result(match.result(), map_layout());
  TiledStep::Work work = work_of(operands.dst, shape, builder);
  work.in_turn = match.excite.has_value();
  work.shared_bytes = sizeof(float) * static_cast<std::size_t>(operands.scratch_floats());
  StepInfo info = describe(match.ops, builder, implementation("elements"));
  builder.add_step(std::make_unique<ElementsStep>(std::move(info), work, std::move(operands)),
                   reads, {work.map});
}

void emit_maxima(const MaximaMatch& match, PlanBuilder& builder) {
  const auto& pool = std::get<MaxPool>(builder.node(match.result()).op);
  kernels::MapMaxima maxima;
  maxima.src = map_shape(builder.shape(match.source));
  maxima.kernel = static_cast<int>(pool.kernel[0]);
  maxima.stride = static_cast<int>(pool.stride[0]);
  maxima.padding = static_cast<int>(pool.padding[0]);
  const ValueId src = builder.in_layout(match.source, map_layout());
  const ValueId dst = builder.new_result(match.result(), map_layout());
  const TiledStep::Work work = work_of(dst, builder.shape(match.result()), builder);
  StepInfo info = describe(match.ops, builder, implementation("maxima"));
  builder.add_step(std::make_unique<MaximaStep>(std::move(info), work, maxima, src, dst), {src},
                   {dst});
}

}  // namespace mobileone::fused
