#include "mobileone/backends/fused/patterns/seam_step.hpp"

#include "mobileone/backends/fused/patterns/quantized_step.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

// Units are rows of channel blocks.
class SeamStep : public TiledStep {
 public:
  SeamStep(StepInfo info, const Work& work, SeamMatch match, const kernels::ByteMap& map,
           ValueId src, ValueId dst)
      : TiledStep(std::move(info), work),
        match_(std::move(match)),
        map_(map),
        src_(src),
        dst_(dst) {
    if (match_.activation) table_ = byte_table(match_);
  }
  Prefetching prefetching() const override { return Prefetching::passes_on; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const auto floats_at = [&](ValueId id) {
      return floats(buffers, id) + range.image * map_.num_bytes();  // as many numbers
    };
    const auto bytes_at = [&](ValueId id) { return bytes_of(buffers, id, map_, range.image); };
    if (match_.activation) {
      kernels::look_up_bytes(map_, table_, bytes_at(src_), bytes_at(dst_), range.begin, range.end);
    } else if (match_.to) {
      kernels::floats_to_bytes(map_, *match_.to, floats_at(src_), bytes_at(dst_), range.begin,
                               range.end);
    } else {
      kernels::bytes_to_floats(map_, *match_.from, bytes_at(src_), floats_at(dst_), range.begin,
                               range.end);
    }
  }

 private:
  SeamMatch match_;
  kernels::ByteMap map_;
  kernels::ByteTable table_{};
  ValueId src_, dst_;
};

}  // namespace

void emit_seam(const SeamMatch& match, PlanBuilder& builder) {
  const Shape& shape = builder.shape(match.result());
  const kernels::ByteMap map = byte_map(shape);
  const ValueId src =
      match.from ? builder.value_of(match.source) : builder.in_layout(match.source, map_layout());
  const int units = map.blocks() * map.height;
  TiledStep::Work work;
  if (match.to) {
    work = byte_map_work(match.result(), units, 0, builder, match.to->zero_point);
  } else {
    work.map = builder.new_result(match.result(), map_layout());
    work.map_shape = map_shape(shape);
    work.images = shape[0];
    work.units = units;
    work.threads = builder.options().threads;
  }
  const ValueId dst = match.to ? work.byte_map : work.map;
  const std::string kind = match.activation ? "byte table" : match.to ? "to bytes" : "from bytes";
  StepInfo info = describe(match.ops, builder, implementation(kind));
  builder.add_step(std::make_unique<SeamStep>(std::move(info), work, match, map, src, dst), {src},
                   {dst});
}

}  // namespace mobileone::fused
