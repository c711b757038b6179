#include "mobileone/backends/fused/patterns/transformer_step.hpp"

#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

using kernels::TransformerArgs;
using kernels::TransformerPlan;

// What the passes of one block share. The values between them hold all images.
struct BlockSpec {
  TransformerPlan plan;
  std::shared_ptr<const void> weights;
  ValueId src = -1, dst = -1, last = -1, x = -1, qkv = -1, attended = -1;
  std::int64_t images = 1;
  int threads = 1;

  kernels::ResizeShape resize() const {
    const kernels::MapShape from = plan.shape.last(), to = plan.shape.dst();
    return {to.channels, from.height, from.width, to.height, to.width, true};
  }
  // How many half panels of tokens go through the weights together. Where there are too few for
  // the threads, they are divided: every thread gets some.
  int unit_halves() const {
    const int halves = plan.half_panels();
    int size = threads == 1 ? halves : 2 * kernels::kTokenUnitPanels;
    while (size > 1 && images * kernels::ceil_div(halves, size) < threads) size /= 2;
    return size;
  }
};
using Spec = std::shared_ptr<const BlockSpec>;

class PassStep : public TiledStep {
 public:
  PassStep(StepInfo info, const Work& work, Spec spec)
      : TiledStep(std::move(info), work), spec_(std::move(spec)) {}

 protected:
  const BlockSpec& spec() const { return *spec_; }
  TransformerArgs args(const Buffers& buffers, const UnitRange& range) const {
    const TransformerPlan& plan = spec_->plan;
    const auto of_image = [&](ValueId id, std::ptrdiff_t image_floats) {
      return floats(buffers, id) + range.image * image_floats;
    };
    TransformerArgs args;
    args.src = of_image(spec_->src, plan.shape.src().num_floats());
    args.dst =
        of_image(plan.shape.resizes() ? spec_->last : spec_->dst, plan.shape.last().num_floats());
    args.x = of_image(spec_->x, plan.x_floats());
    args.qkv = of_image(spec_->qkv, plan.qkv_floats());
    args.attended = of_image(spec_->attended, plan.x_floats());
    args.packed = static_cast<const float*>(spec_->weights.get());
    args.scratch = range.scratch;
    return args;
  }

 private:
  Spec spec_;
};

class TokensStep : public PassStep {
 public:
  TokensStep(StepInfo info, Work work, const Spec& spec, int stage)
      : PassStep(std::move(info), work, spec), stage_(stage), size_(spec->unit_halves()) {}

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const TransformerPlan& plan = spec().plan;
    table().transform_tokens(plan, args(buffers, range), stage_, range.begin * size_,
                             std::min(range.end * size_, plan.half_panels()));
  }

 private:
  int stage_, size_;
};

class AttentionStep : public PassStep {
 public:
  using PassStep::PassStep;

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    table().attention(spec().plan, args(buffers, range), range.begin, range.end);
  }
};

class ResizeStep : public PassStep {
 public:
  using PassStep::PassStep;

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    const kernels::ResizeShape shape = spec().resize();
    table().resize_map(shape, map_of(buffers, spec().last, shape.src(), range.image),
                       map_of(buffers, spec().dst, shape.dst(), range.image), range.begin,
                       range.end);
  }
};

kernels::TransformerShape shape_of(const TransformerMatch& match, const PlanBuilder& builder) {
  const Shape& in = builder.shape(match.source);
  kernels::TransformerShape shape;
  shape.height = static_cast<int>(in[2]);
  shape.width = static_cast<int>(in[3]);
  shape.channels_in = static_cast<int>(in[1]);
  shape.features = static_cast<int>(match.features);
  shape.hidden = static_cast<int>(match.hidden);
  shape.heads = static_cast<int>(match.heads);
  shape.depth = static_cast<int>(match.layers.size());
  shape.channels_out = static_cast<int>(builder.shape(match.result())[1]);
  shape.patch_height = static_cast<int>(match.patch[0]);
  shape.patch_width = static_cast<int>(match.patch[1]);
  shape.eps = static_cast<float>(match.eps);
  return shape;
}

kernels::TransformerWeights weights_of(const TransformerMatch& match, const PlanBuilder& builder) {
  const auto set = [&](NodeId id, const float*& weight, const float*& bias) {
    const NodeWeights weights(id, builder);
    weight = weights.weight();
    bias = weights.bias();
  };
  kernels::TransformerWeights all;
  set(match.enter, all.enter, all.enter_bias);
  set(match.norm, all.norm, all.norm_bias);
  set(match.leave, all.leave, all.leave_bias);
  for (const TransformerLayerMatch& from : match.layers) {
    kernels::TransformerLayerWeights& to = all.layers.emplace_back();
    set(from.norm1, to.norm1, to.norm1_bias);
    set(from.qkv, to.qkv, to.qkv_bias);
    set(from.proj, to.proj, to.proj_bias);
    set(from.norm2, to.norm2, to.norm2_bias);
    set(from.fc1, to.fc1, to.fc1_bias);
    set(from.fc2, to.fc2, to.fc2_bias);
  }
  return all;
}

std::shared_ptr<BlockSpec> make_spec(const TransformerMatch& match, PlanBuilder& builder) {
  const auto spec = std::make_shared<BlockSpec>();
  spec->plan = kernels::plan_transformer(table().token_columns, table().token_rows,
                                         shape_of(match, builder));
  const TransformerPlan& plan = spec->plan;
  spec->weights = builder.packed(
      builder.node(match.leave).name + " fused transformer",
      static_cast<std::size_t>(plan.packed_floats()) * sizeof(float), [&](void* out) {
        kernels::pack_transformer(plan, weights_of(match, builder), static_cast<float*>(out));
      });
  spec->images = builder.shape(match.source)[0];
  spec->threads = builder.options().threads;
  spec->src = builder.in_layout(match.source, map_layout());
  const auto value = [&](std::ptrdiff_t floats) {
    return builder.new_temporary({spec->images, floats});
  };
  spec->x = value(plan.x_floats());
  spec->qkv = value(plan.qkv_floats());
  spec->attended = value(plan.x_floats());
  if (plan.shape.resizes()) spec->last = value(plan.shape.last().num_floats());
  spec->dst = builder.new_result(match.result(), map_layout());
  return spec;
}

TiledStep::Work work_of(const BlockSpec& spec, int units) {
  TiledStep::Work work;
  work.images = spec.images;
  work.units = units;
  work.threads = spec.threads;
  work.thread_bytes = spec.plan.scratch_bytes();
  return work;
}

// Pass `stage` over the tokens, of the operators `ops`.
void add_tokens(const Spec& spec, int stage, const std::vector<const LoweredOp*>& ops,
                PlanBuilder& builder) {
  const bool enters = stage == 0, leaves = stage == spec->plan.shape.depth;
  const bool resizes = spec->plan.shape.resizes();
  TiledStep::Work work =
      work_of(*spec, kernels::ceil_div(spec->plan.half_panels(), spec->unit_halves()));
  std::vector<ValueId> reads{spec->x, spec->attended}, writes{spec->x, spec->qkv};
  if (enters) reads = {spec->src};
  if (leaves) writes = {resizes ? spec->last : spec->dst};
  if (leaves && !resizes) {
    work.map = spec->dst;
    work.map_shape = spec->plan.shape.dst();
  }
  builder.add_step(std::make_unique<TokensStep>(describe(ops, builder, implementation("tokens")),
                                                work, spec, stage),
                   reads, writes);
}

void add_attention(const Spec& spec, const std::vector<const LoweredOp*>& ops,
                   PlanBuilder& builder) {
  builder.add_step(
      std::make_unique<AttentionStep>(describe(ops, builder, implementation("attention")),
                                      work_of(*spec, spec->plan.attention_units()), spec),
      {spec->qkv}, {spec->attended});
}

// Interpolates the result back to its size, last of all (kernels/tokens/transformer.hpp).
void add_resize(const Spec& spec, const TransformerMatch& match, PlanBuilder& builder) {
  StepInfo info = describe(*match.ops[match.ops.size() - 2], builder, implementation("resize"));
  info.output_shape = builder.shape(match.result());
  const kernels::MapShape map = spec->plan.shape.dst();
  TiledStep::Work work = work_of(*spec, map.height);
  work.map = spec->dst;
  work.map_shape = map;
  builder.add_step(std::make_unique<ResizeStep>(std::move(info), work, spec), {spec->last},
                   {spec->dst});
}

}  // namespace

void emit_transformer(const TransformerMatch& match, PlanBuilder& builder) {
  const Spec spec = make_spec(match, builder);
  for (int pass = 0; pass <= 2 * spec->plan.shape.depth; ++pass) {
    const auto index = static_cast<std::size_t>(pass);
    const auto at = [&](std::size_t i) {
      return match.ops.begin() + static_cast<std::ptrdiff_t>(match.pass_begin[i]);
    };
    const std::vector<const LoweredOp*> ops(at(index), at(index + 1));
    if (pass % 2 == 1) {
      add_attention(spec, ops, builder);
    } else {
      add_tokens(spec, pass / 2, ops, builder);
    }
  }
  if (spec->plan.shape.resizes()) add_resize(spec, match, builder);
}

}  // namespace mobileone::fused
