#include "mobileone/backends/fused/patterns/pool_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

// One unit per image, all on the calling thread: there is little to do.
class PoolStep : public TiledStep {
 public:
  PoolStep(StepInfo info, const Work& work, const kernels::MapShape& map, ValueId src, ValueId dst,
           ValueId factor)
      : TiledStep(std::move(info), work), map_(map), src_(src), dst_(dst), factor_(factor) {}
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const std::ptrdiff_t vector = range.image * kernels::padded(map_.channels);
    table().global_pool(map_, map_of(buffers, src_, map_, range.image),
                        factor_ < 0 ? nullptr : floats(buffers, factor_) + vector,
                        floats(buffers, dst_) + vector);
  }

 private:
  kernels::MapShape map_;
  ValueId src_, dst_, factor_;
};

}  // namespace

void emit_pool(const PoolMatch& match, PlanBuilder& builder) {
  const Shape& shape = builder.shape(match.source);
  const ValueId src = builder.value_of(match.source), factor = builder.factor_of(match.source);
  // [N][padded channels]: what the classifier reads.
  const ValueId dst = builder.new_result(match.result(), Layout::blocked(kernels::kBlock));
  std::vector<ValueId> reads{src};
  if (factor >= 0) reads.push_back(factor);
  TiledStep::Work work;
  work.images = shape[0];
  builder.add_step(std::make_unique<PoolStep>(describe(match.ops, builder, implementation()), work,
                                              map_shape(shape), src, dst, factor),
                   reads, {dst});
}

}  // namespace mobileone::fused
