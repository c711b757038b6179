#include <algorithm>

#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

struct StemSpec {
  kernels::StemPlan stem;
  std::shared_ptr<const void> stem_weights;
  std::optional<PackedPair> pair;  // what follows, when it is part of the step
  ValueId src, dst;
  std::int64_t images = 1;
  int threads = 1;
  ThreadPool* pool = nullptr;

  kernels::MapShape dst_map() const { return pair ? pair->plan.shape.dst() : stem.dst(); }
  // Independent pieces of one image: tiles of the pair, or output rows of the stem.
  int units() const { return pair ? pair->plan.tiles() : stem.out_height(); }
  std::size_t thread_bytes() const {
    return aligned_bytes(pair ? kernels::plan_stem_block(stem, pair->plan).scratch_bytes()
                              : stem.scratch_bytes());
  }
};

class BoundStem : public BoundStep {
 public:
  BoundStem(const StemSpec& spec, const Buffers& buffers) : spec_(spec), buffers_(buffers) {
    if (spec.pair) plan_ = kernels::plan_stem_block(spec.stem, spec.pair->plan);
  }

  void run() override {
    const auto* images = static_cast<const float*>(buffers_.address(spec_.src));
    auto* maps = static_cast<float*>(buffers_.address(spec_.dst));
    zero_borders(spec_.dst_map(), spec_.images, spec_.dst, buffers_);
    const int units = spec_.units();
    spread(spec_.pool, static_cast<int>(spec_.images) * units, [&](int begin, int end, int worker) {
      while (begin < end) {
        const int image = begin / units;
        const int last = std::min(end, (image + 1) * units);
        run_units(images, maps, image, begin - image * units, last - image * units, worker);
        begin = last;
      }
    });
  }

 private:
  void run_units(const float* images, float* maps, int image, int begin, int end,
                 int worker) const {
    const std::ptrdiff_t pixels = std::ptrdiff_t{spec_.stem.height} * spec_.stem.width;
    const float* source = images + image * pixels * kernels::kImageChannels;
    float* target = maps + image * spec_.dst_map().num_floats();
    const auto* stem = static_cast<const float*>(spec_.stem_weights.get());
    void* scratch = buffers_.scratch() + static_cast<std::size_t>(worker) * spec_.thread_bytes();
    if (spec_.pair) {
      table().run_stem_block(plan_, {source, target, stem, spec_.pair->data(), scratch}, begin,
                             end);
    } else {
      table().run_stem(spec_.stem, {source, target, stem, scratch}, begin, end);
    }
  }

  const StemSpec& spec_;
  const Buffers& buffers_;
  kernels::StemBlockPlan plan_;
};

class StemStep : public Step {
 public:
  StemStep(StepInfo info, StemSpec spec) : Step(std::move(info)), spec_(std::move(spec)) {}
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(spec_.threads) * spec_.thread_bytes();
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundStem>(spec_, buffers);
  }

 private:
  StemSpec spec_;
};

StemSpec make_stem(const ConvMatch& match, PlanBuilder& builder) {
  const Node& node = builder.node(match.conv->node);
  const Shape& in = builder.shape(node.inputs[0]);
  StemSpec spec;
  spec.stem =
      kernels::plan_stem(table().traits, static_cast<int>(in[2]), static_cast<int>(in[3]),
                         static_cast<int>(builder.shape(match.result)[1]),
                         match.relu ? kernels::Activation::kRelu : kernels::Activation::kNone);
  spec.stem_weights =
      builder.packed(node.name + " fused", spec.stem.packed_bytes(), [&](void* out) {
        kernels::pack_stem(spec.stem, weight_data(builder, node.name + ".weight"),
                           weight_data(builder, node.name + ".bias"), static_cast<float*>(out));
      });
  spec.images = in[0];
  spec.threads = builder.options().threads;
  spec.pool = pool(spec.threads);
  spec.src = builder.value_of(node.inputs[0]);
  return spec;
}

void add(StemSpec spec, const std::vector<const LoweredOp*>& ops, NodeId result,
         const std::string& implementation, PlanBuilder& builder) {
  spec.dst = builder.new_result(result, map_layout());
  const std::vector<ValueId> reads{spec.src}, writes{spec.dst};
  builder.add_step(
      std::make_unique<StemStep>(describe(ops, builder, implementation), std::move(spec)), reads,
      writes);
}

std::string isa() { return concat("fused ", kernels::isa_name(table().isa)); }

}  // namespace

void emit_stem(const ConvMatch& stem, PlanBuilder& builder) {
  add(make_stem(stem, builder), {stem.conv}, stem.result, isa(), builder);
}

void emit_stem_pair(const ConvMatch& stem, const PairMatch& pair, PlanBuilder& builder) {
  StemSpec spec = make_stem(stem, builder);
  spec.pair = pack_pair(pair, true, builder);
  const std::string implementation =
      concat(isa(), " ", algorithm_name(spec.pair->plan), " rows=", spec.pair->plan.tile_rows);
  add(std::move(spec), {stem.conv, pair.depthwise.conv, pair.pointwise.conv}, pair.result,
      implementation, builder);
}

}  // namespace mobileone::fused
