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
    const std::ptrdiff_t numbers = match_.tokens ? std::ptrdiff_t{map_.width} * map_.channels
                                                 : map_.num_bytes();  // as many as bytes
    const auto floats_at = [&](ValueId id) { return floats(buffers, id) + range.image * numbers; };
    const auto bytes_at = [&](ValueId id) { return bytes_of(buffers, id, map_, range.image); };
    if (match_.activation) {
      kernels::look_up_bytes(map_, table_, bytes_at(src_), bytes_at(dst_), range.begin, range.end);
    } else if (match_.tokens && match_.to) {
      kernels::tokens_to_bytes(map_, *match_.to, floats_at(src_), bytes_at(dst_), range.begin,
                               range.end);
    } else if (match_.tokens) {
      kernels::bytes_to_tokens(map_, *match_.from, bytes_at(src_), floats_at(dst_), range.begin,
                               range.end);
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

// Of a step that makes numbers: tokens, or a map.
TiledStep::Work numbers_work(const SeamMatch& match, const kernels::ByteMap& map, int units,
                             PlanBuilder& builder, ValueId& dst) {
  const Shape& shape = builder.shape(match.result());
  TiledStep::Work work;
  work.images = shape[0];
  work.units = units;
  work.threads = builder.options().threads;
  dst = builder.new_result(match.result(), match.tokens ? Layout::nchw() : map_layout());
  if (!match.tokens) {
    work.map = dst;
    work.map_shape = {map.channels, map.height, map.width};
  }
  return work;
}

}  // namespace

void emit_seam(const SeamMatch& match, PlanBuilder& builder) {
  const kernels::ByteMap map = byte_map(builder.shape(match.to ? match.result() : match.source));
  const ValueId src =
      match.from ? builder.value_of(match.source)
                 : builder.in_layout(match.source, match.tokens ? Layout::nchw() : map_layout());
  const int units = map.blocks() * map.height;
  ValueId dst = -1;
  TiledStep::Work work;
  if (match.to) {
    work = byte_map_work(match.result(), units, 0, builder, match.to->zero_point);
    dst = work.byte_map;
  } else {
    work = numbers_work(match, map, units, builder, dst);
  }
  const std::string kind = match.activation ? "byte table"
                           : match.tokens   ? (match.to ? "tokens to bytes" : "bytes to tokens")
                           : match.to       ? "to bytes"
                                            : "from bytes";
  StepInfo info = describe(match.ops, builder, implementation(kind));
  builder.add_step(std::make_unique<SeamStep>(std::move(info), work, match, map, src, dst), {src},
                   {dst});
}

}  // namespace mobileone::fused
