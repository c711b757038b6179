// A tile's windows are laid out beside each other, nine times the channels, and multiplied by the
// 1x1 kernel while they are in the second-level cache.
#include "mobileone/backends/fused/patterns/quantized_dense_step.hpp"

#include <cstring>

#include "mobileone/backends/fused/patterns/quantized_step.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

// Units are tiles of rows. Windows of a whole image are shared scratch, of which a tile fills and
// reads its own rows; so images are done in turn.
class QuantizedDenseStep : public TiledStep {
 public:
  QuantizedDenseStep(StepInfo info, const Work& work, const kernels::QuantizedBlockPlan& plan,
                     const kernels::ByteMap& source, int stride,
                     std::shared_ptr<const void> weights, ValueId src)
      : TiledStep(std::move(info), work),
        plan_(plan),
        source_(source),
        stride_(stride),
        weights_(std::move(weights)),
        src_(src) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const std::uint8_t* const src = bytes_of(buffers, src_, source_, range.image);
    auto* const windows = reinterpret_cast<std::uint8_t*>(buffers.scratch());
    const kernels::QuantizedBlockArgs args{
        windows,
        bytes_of(buffers, work().byte_map, work().byte_shape, range.image),
        static_cast<const std::byte*>(weights_.get()),
        range.scratch,
        {}};
    for (int tile = range.begin; tile < range.end; ++tile) {
      const int row = tile * plan_.tile_rows;
      const int limit = std::min(row + plan_.tile_rows, plan_.shape.height);
      for (int y = row; y < limit; ++y) lay_out(src, windows, y);
      quantized_kernels()->run_block(plan_, args, tile, tile + 1);
    }
  }

 private:
  // The windows of a row of the result: channel block `place * blocks + b` has the pixels of block
  // b at that place of every window. The source's border is the zero point, which adds nothing.
  void lay_out(const std::uint8_t* src, std::uint8_t* windows, int y) const {
    const kernels::ByteMap map = plan_.shape.src();
    for (int place = 0; place < 9; ++place) {
      const int from_row = y * stride_ + place / 3 - 1, column = place % 3 - 1;
      for (int b = 0; b < source_.blocks(); ++b) {
        const std::uint8_t* from = src + source_.offset(b, from_row, column);
        std::uint8_t* to = windows + map.offset(place * source_.blocks() + b, y, 0);
        if (stride_ == 1) {
          std::memcpy(to, from, std::size_t(map.width) * kernels::kBlock);
          continue;
        }
        for (int x = 0; x < map.width; ++x) {
          std::memcpy(to, from, kernels::kBlock);
          to += kernels::kBlock;
          from += stride_ * kernels::kBlock;
        }
      }
    }
  }

  kernels::QuantizedBlockPlan plan_;
  kernels::ByteMap source_;
  int stride_;
  std::shared_ptr<const void> weights_;
  ValueId src_;
};

// [out][9][padded inputs], of [out][inputs][3][3].
std::vector<float> of_windows(const float* weight, int outputs, int inputs, int padded) {
  std::vector<float> made(std::size_t(outputs) * 9 * std::size_t(padded));
  for (int o = 0; o < outputs; ++o) {
    for (int i = 0; i < inputs; ++i) {
      for (int place = 0; place < 9; ++place) {
        made[(std::size_t(o) * 9 + std::size_t(place)) * std::size_t(padded) + std::size_t(i)] =
            weight[(std::ptrdiff_t{o} * inputs + i) * 9 + place];
      }
    }
  }
  return made;
}

}  // namespace

void emit_quantized_dense(const QuantizedDenseMatch& match, PlanBuilder& builder) {
  const kernels::QuantizedKernels& kernels_in_use = *quantized_kernels();
  const kernels::QuantizedBlockPlan plan = kernels::plan_quantized_block(
      kernels_in_use.traits, match.windows, builder.options().threads);
  const kernels::ByteMap source = byte_map(builder.shape(match.source));
  const std::string& name = builder.node(match.conv).name;
  // Weights are looked up when they are packed: the network of a stored plan has none.
  const auto pack = [&](void* out) {
    const auto find = [&](const char* part) { return builder.network().weight(name + part).f32(); };
    const std::vector<float> weight = of_windows(find(".weight"), match.windows.channels_out,
                                                 source.channels, match.windows.channels_in / 9);
    kernels::pack_quantized_block(plan, {}, {weight.data(), find(".bias"), find(".multiplier")},
                                  static_cast<std::byte*>(out));
  };
  const std::string key = concat(name, " fused windows ", kernels_in_use.name);
  std::shared_ptr<const void> weights = builder.packed(key, plan.packed_bytes(), pack);

  const int zero_point = match.windows.project.zero_point;
  const ValueId src = builder.value_of(match.source);
  TiledStep::Work work =
      byte_map_work(match.result(), plan.tiles(), plan.scratch_bytes(), builder, zero_point);
  work.shared_bytes = std::size_t(plan.shape.src().num_bytes()) + kernels::ByteMap::kSlack;
  work.in_turn = true;
  StepInfo info =
      describe(match.ops, builder, quantized_implementation(concat(" rows=", plan.tile_rows)));
  builder.add_step(std::make_unique<QuantizedDenseStep>(std::move(info), work, plan, source,
                                                        match.stride, std::move(weights), src),
                   {src}, {work.byte_map});
}

}  // namespace mobileone::fused
