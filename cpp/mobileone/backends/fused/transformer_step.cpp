#include "mobileone/backends/fused/transformer_step.hpp"

#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"
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
  ThreadPool* pool = nullptr;

  kernels::ResizeShape resize() const {
    const kernels::MapShape from = plan.shape.last(), to = plan.shape.dst();
    return {to.channels, from.height, from.width, to.height, to.width, kernels::Activation::kSilu};
  }
};
using Spec = std::shared_ptr<const BlockSpec>;

class BoundPass : public BoundStep {
 public:
  BoundPass(const BlockSpec& spec, int pass, const Buffers& buffers)
      : spec_(spec), pass_(pass), buffers_(buffers) {}

  void run() override {
    const TransformerPlan& plan = spec_.plan;
    if (pass_ > 2 * plan.shape.depth) return resize();
    if (pass_ % 2 == 1) return attend();
    const bool leaves = pass_ == 2 * plan.shape.depth;
    if (leaves && !plan.shape.resizes())
      zero_borders(plan.shape.dst(), spec_.images, spec_.dst, buffers_);
    transform();
  }

 private:
  float* at(ValueId id) const {
    return id < 0 ? nullptr : static_cast<float*>(buffers_.address(id));
  }

  TransformerArgs args(std::int64_t image, int worker) const {
    const TransformerPlan& plan = spec_.plan;
    TransformerArgs args;
    args.src = at(spec_.src) + image * plan.shape.src().num_floats();
    args.dst =
        at(plan.shape.resizes() ? spec_.last : spec_.dst) + image * plan.shape.last().num_floats();
    args.x = at(spec_.x) + image * plan.x_floats();
    args.qkv = at(spec_.qkv) + image * plan.qkv_floats();
    args.attended = at(spec_.attended) + image * plan.x_floats();
    args.packed = static_cast<const float*>(spec_.weights.get());
    args.scratch = buffers_.scratch() + worker * aligned_bytes(plan.scratch_bytes());
    return args;
  }

  // work(args, begin, end) on parts of each image's [0, units).
  template <typename Work>
  void per_image(int units, const Work& work) const {
    const int images = static_cast<int>(spec_.images);
    spread(spec_.pool, images * units, [&](int begin, int end, int worker) {
      while (begin < end) {
        const int image = begin / units;
        const int last = std::min(end, (image + 1) * units);
        work(args(image, worker), begin - image * units, last - image * units);
        begin = last;
      }
    });
  }

  void transform() const {
    const TransformerPlan& plan = spec_.plan;
    // Panels go through the weights together where every thread gets some; where there are too few
    // of them for the threads, they are halved.
    const int halves = plan.half_panels();
    int size = spec_.threads == 1 ? halves : 2 * kernels::kTokenUnitPanels;
    while (size > 1 && spec_.images * kernels::ceil_div(halves, size) < spec_.threads) size /= 2;
    per_image(kernels::ceil_div(halves, size), [&](const TransformerArgs& args, int begin,
                                                   int end) {
      table().transform_tokens(plan, args, pass_ / 2, begin * size, std::min(end * size, halves));
    });
  }

  void attend() const {
    per_image(spec_.plan.attention_units(), [&](const TransformerArgs& args, int begin, int end) {
      table().attention(spec_.plan, args, begin, end);
    });
  }

  void resize() const {
    const kernels::ResizeShape shape = spec_.resize();
    const kernels::MapShape from = shape.src(), to = shape.dst();
    zero_borders(to, spec_.images, spec_.dst, buffers_);
    const int images = static_cast<int>(spec_.images);
    spread(spec_.pool, images * to.height, [&](int begin, int end, int) {
      for (int row = begin; row < end; ++row) {
        const int image = row / to.height, y = row % to.height;
        table().resize_map(shape, at(spec_.last) + image * from.num_floats(),
                           at(spec_.dst) + image * to.num_floats(), y, y + 1);
      }
    });
  }

  const BlockSpec& spec_;
  int pass_;
  const Buffers& buffers_;
};

class PassStep : public Step {
 public:
  PassStep(StepInfo info, Spec spec, int pass)
      : Step(std::move(info)), spec_(std::move(spec)), pass_(pass) {}
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(spec_->threads) * aligned_bytes(spec_->plan.scratch_bytes());
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundPass>(*spec_, pass_, buffers);
  }

 private:
  Spec spec_;
  int pass_;
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
  shape.channels_out = static_cast<int>(builder.shape(match.result)[1]);
  shape.patch_height = static_cast<int>(match.patch[0]);
  shape.patch_width = static_cast<int>(match.patch[1]);
  shape.eps = static_cast<float>(match.eps);
  return shape;
}

// Weight and bias of a node; the bias is null where the operator has none.
struct NodeWeights {
  const float *weight, *bias;
  NodeWeights(NodeId id, const PlanBuilder& builder) {
    const Node& node = builder.node(id);
    const auto* conv = std::get_if<Conv2d>(&node.op);
    const auto* linear = std::get_if<Linear>(&node.op);
    weight = weight_data(builder, node.name + ".weight");
    bias = weight_data(builder, node.name + ".bias",
                       (!conv || conv->bias) && (!linear || linear->bias));
  }
};

kernels::TransformerWeights weights_of(const TransformerMatch& match, const PlanBuilder& builder) {
  const auto of = [&](NodeId id) { return NodeWeights(id, builder); };
  kernels::TransformerWeights all;
  all.enter = of(match.enter).weight;
  all.enter_bias = of(match.enter).bias;
  all.norm = of(match.norm).weight;
  all.norm_bias = of(match.norm).bias;
  all.leave = of(match.leave).weight;
  all.leave_bias = of(match.leave).bias;
  for (const TransformerLayerMatch& from : match.layers) {
    kernels::TransformerLayerWeights& to = all.layers.emplace_back();
    const auto set = [&](NodeId id, const float*& weight, const float*& bias) {
      weight = of(id).weight;
      bias = of(id).bias;
    };
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
  spec->plan = kernels::plan_transformer(table().traits, shape_of(match, builder));
  const TransformerPlan& plan = spec->plan;
  spec->weights = builder.packed(
      builder.node(match.leave).name + " fused transformer",
      static_cast<std::size_t>(plan.packed_floats()) * sizeof(float), [&](void* out) {
        kernels::pack_transformer(plan, weights_of(match, builder), static_cast<float*>(out));
      });
  spec->images = builder.shape(match.source)[0];
  spec->threads = builder.options().threads;
  spec->pool = pool(spec->threads);
  spec->src = builder.in_layout(match.source, map_layout());
  const auto value = [&](std::ptrdiff_t floats) {
    return builder.new_temporary({spec->images, floats});
  };
  spec->x = value(plan.x_floats());
  spec->qkv = value(plan.qkv_floats());
  spec->attended = value(plan.x_floats());
  if (plan.shape.resizes()) spec->last = value(plan.shape.last().num_floats());
  spec->dst = builder.new_result(match.result, map_layout());
  return spec;
}

}  // namespace

void emit_transformer(const TransformerMatch& match, const std::vector<LoweredOp>& ops,
                      PlanBuilder& builder) {
  const std::shared_ptr<BlockSpec> spec = make_spec(match, builder);
  const std::string isa = concat("fused ", kernels::isa_name(table().isa));
  const int depth = spec->plan.shape.depth;
  const auto add = [&](int pass, const std::vector<const LoweredOp*>& group, const char* what,
                       const std::vector<ValueId>& reads, const std::vector<ValueId>& writes) {
    builder.add_step(std::make_unique<PassStep>(describe(group, builder, isa + what), spec, pass),
                     reads, writes);
  };
  for (int pass = 0; pass <= 2 * depth; ++pass) {
    std::vector<const LoweredOp*> group;
    for (std::size_t i = match.pass_begin[pass]; i < match.pass_begin[pass + 1]; ++i) {
      group.push_back(&ops[i]);
    }
    if (pass % 2 == 1) {
      add(pass, group, " attention", {spec->qkv}, {spec->attended});
      continue;
    }
    std::vector<ValueId> reads{spec->x, spec->attended}, writes{spec->x, spec->qkv};
    if (pass == 0) reads = {spec->src};
    if (pass == 2 * depth) writes = {spec->plan.shape.resizes() ? spec->last : spec->dst};
    add(pass, group, " tokens", reads, writes);
  }
  if (!spec->plan.shape.resizes()) return;
  // Interpolated back last (kernels/transformer.hpp).
  const LoweredOp* back = &ops[match.pass_begin.back() - 2];
  StepInfo info = describe(*back, builder, isa + " resize");
  info.output_shape = builder.shape(match.result);
  builder.add_step(std::make_unique<PassStep>(std::move(info), spec, 2 * depth + 1), {spec->last},
                   {spec->dst});
}

}  // namespace mobileone::fused
