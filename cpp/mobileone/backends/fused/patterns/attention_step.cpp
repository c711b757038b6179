#include "mobileone/backends/fused/patterns/attention_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

namespace {

// Images are sequences, units heads.
class AttentionStep : public TiledStep {
 public:
  AttentionStep(StepInfo info, const Work& work, const AttentionMatch& match, ValueId src,
                ValueId dst)
      : TiledStep(std::move(info), work),
        head_(match.head),
        width_(match.width),
        src_(src),
        dst_(dst) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const std::ptrdiff_t token = range.image * head_.tokens;
    for (int unit = range.begin; unit < range.end; ++unit) {
      const std::ptrdiff_t column = std::ptrdiff_t{unit} * head_.features;
      const float* const packed = floats(buffers, src_) + token * head_.packed_step + column;
      table().attention_forward({head_,
                                 {packed, packed + width_, packed + 2 * width_},
                                 floats(buffers, dst_) + token * head_.result_step + column,
                                 reinterpret_cast<float*>(range.scratch)});
    }
  }

 private:
  kernels::RowAttention head_;
  std::int64_t width_;
  ValueId src_, dst_;
};

}  // namespace

void emit_attention(const AttentionMatch& match, PlanBuilder& builder) {
  const ValueId src = builder.in_layout(match.source, Layout::nchw());
  const ValueId dst = builder.new_result(match.result(), Layout::nchw());
  TiledStep::Work work;
  work.images = match.sequences;
  work.units = match.heads;
  work.threads = builder.options().threads;
  work.thread_bytes = sizeof(float) * std::size_t(match.head.forward_floats(table().traits));
  StepInfo info = describe(match.ops, builder, implementation());
  builder.add_step(std::make_unique<AttentionStep>(std::move(info), work, match, src, dst), {src},
                   {dst});
}

}  // namespace mobileone::fused
