#include <algorithm>

#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/strassen_guard.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/cost_model.hpp"

namespace mobileone::fused {

namespace {

using kernels::BlockPlan;

// Without weights where there is no SE.
struct PackedSqueeze {
  kernels::SqueezeExcite shape;
  std::shared_ptr<const void> weights;
  explicit operator bool() const { return weights != nullptr; }
};

PackedSqueeze pack(const std::optional<SqueezeMatch>& match, PlanBuilder& builder) {
  PackedSqueeze result;
  if (!match) return result;
  result.shape.channels = static_cast<int>(match->channels);
  result.shape.reduced = static_cast<int>(match->reduced);
  const auto pack_into = [&](void* out) {
    kernels::pack_squeeze_excite(result.shape.channels, result.shape.reduced,
                                 weight_data(builder, match->reduce + ".weight"),
                                 weight_data(builder, match->reduce + ".bias"),
                                 weight_data(builder, match->expand + ".weight"),
                                 weight_data(builder, match->expand + ".bias"),
                                 static_cast<float*>(out));
  };
  result.weights = builder.packed(match->reduce + " fused",
                                  result.shape.packed_floats() * sizeof(float), pack_into);
  result.shape.packed = static_cast<const float*>(result.weights.get());
  return result;
}

struct PairSpec {
  PackedPair packed;
  PackedSqueeze depthwise_squeeze, pointwise_squeeze;
  ValueId src, dst;
  ValueId src_factor = -1;  // [N, padded channels] or none
  ValueId dst_factor = -1;  // written when the pointwise has an SE
  std::int64_t images = 1;
  int threads = 1;
  ThreadPool* pool = nullptr;
  // What the step behind reads, to be brought into L2 in time (see BlockArgs); and how much of this
  // step's own weights the step before brings.
  const float* next_panel = nullptr;
  std::ptrdiff_t next_panel_floats = 0;
  const float* next_data = nullptr;
  std::ptrdiff_t next_floats = 0;
  std::ptrdiff_t fetched_floats = 0;

  // Scratch: the SE's hidden layer and the output's sums of every unit, then each thread's own.
  std::ptrdiff_t hidden_floats() const {
    return pointwise_squeeze ? kernels::padded(pointwise_squeeze.shape.reduced) : 0;
  }
  std::ptrdiff_t sums_floats() const {
    return pointwise_squeeze ? std::ptrdiff_t{packed.plan.units()} *
                                   kernels::padded(packed.plan.shape.channels_out)
                             : 0;
  }
  std::size_t shared_bytes() const {
    return aligned_bytes(sizeof(float) * std::size_t(hidden_floats() + sums_floats()));
  }
  std::size_t thread_bytes() const { return aligned_bytes(packed.plan.scratch_bytes()); }
};

class BoundPair : public BoundStep {
 public:
  BoundPair(const PairSpec& spec, const Buffers& buffers)
      : spec_(spec),
        buffers_(buffers),
        src_(static_cast<float*>(buffers.address(spec.src))),
        dst_(static_cast<float*>(buffers.address(spec.dst))) {}

  void run() override {
    const BlockPlan& plan = spec_.packed.plan;
    zero_borders(plan.shape.dst(), spec_.images, spec_.dst, buffers_);
    if (spec_.pointwise_squeeze) {
      // Sums of one image at a time: its factor is made before the next begins.
      for (std::int64_t image = 0; image < spec_.images; ++image) run_with_sums(image);
      return;
    }
    const int units = plan.units();
    spread(spec_.pool, static_cast<int>(spec_.images) * units, [&](int begin, int end, int worker) {
      while (begin < end) {
        const int image = begin / units;
        const int last = std::min(end, (image + 1) * units);
        run_units(image, begin - image * units, last - image * units, worker, nullptr);
        begin = last;
      }
    });
  }

 private:
  std::byte* thread_scratch(int worker) const {
    return buffers_.scratch() + spec_.shared_bytes() +
           static_cast<std::size_t>(worker) * spec_.thread_bytes();
  }
  float* factor(ValueId id, std::int64_t image, int channels) const {
    if (id < 0) return nullptr;
    return static_cast<float*>(buffers_.address(id)) + image * kernels::padded(channels);
  }

  void run_units(std::int64_t image, int begin, int end, int worker, float* sums) const {
    const BlockPlan& plan = spec_.packed.plan;
    kernels::BlockArgs args;
    args.src = src_ + image * plan.shape.src().num_floats();
    args.dst = dst_ + image * plan.shape.dst().num_floats();
    args.packed = spec_.packed.data();
    args.src_scale = factor(spec_.src_factor, image, plan.shape.channels_in);
    if (spec_.depthwise_squeeze) args.excite = &spec_.depthwise_squeeze.shape;
    args.dst_sums = sums;
    args.scratch = thread_scratch(worker);
    args.next_panel = spec_.next_panel;
    args.next_panel_floats = spec_.next_panel_floats;
    args.next_data = spec_.next_data;
    args.next_floats = spec_.next_floats;
    args.fetched_floats = spec_.fetched_floats;
    table().run_block(plan, args, begin, end);
  }

  // Every unit sums on its own, and the sums are added in order: the same bits on any thread.
  void run_with_sums(std::int64_t image) const {
    const BlockPlan& plan = spec_.packed.plan;
    const int channels = kernels::padded(plan.shape.channels_out);
    auto* hidden = reinterpret_cast<float*>(buffers_.scratch());
    float* sums = hidden + spec_.hidden_floats();
    std::fill_n(sums, spec_.sums_floats(), 0.f);
    spread(spec_.pool, plan.units(), [&](int begin, int end, int worker) {
      for (int unit = begin; unit < end; ++unit) {
        run_units(image, unit, unit + 1, worker, sums + std::ptrdiff_t{unit} * channels);
      }
    });
    for (int unit = 1; unit < plan.units(); ++unit) {
      std::transform(sums, sums + channels, sums + std::ptrdiff_t{unit} * channels, sums,
                     std::plus<>());
    }
    table().squeeze_excite(spec_.pointwise_squeeze.shape, sums,
                           plan.shape.out_height() * plan.shape.out_width(), hidden,
                           factor(spec_.dst_factor, image, plan.shape.channels_out));
  }

  const PairSpec& spec_;
  const Buffers& buffers_;
  float* src_;
  float* dst_;
};

class PairStep : public PrefetchingStep {
 public:
  PairStep(StepInfo info, PairSpec spec)
      : PrefetchingStep(std::move(info)), spec_(std::move(spec)) {}
  void set_next(const float* data, std::ptrdiff_t floats) override {
    spec_.next_data = data;
    spec_.next_floats = floats;
  }
  void set_next_panel(const float* data, std::ptrdiff_t floats) override {
    spec_.next_panel = data;
    spec_.next_panel_floats = floats;
  }
  std::size_t scratch_bytes() const override {
    return spec_.shared_bytes() + static_cast<std::size_t>(spec_.threads) * spec_.thread_bytes();
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundPair>(spec_, buffers);
  }

 private:
  PairSpec spec_;
};

// The pair's weights as the network holds them.
struct PairWeights {
  const float *depthwise, *depthwise_bias, *pointwise, *pointwise_bias;

  PairWeights(const PairMatch& match, const PlanBuilder& builder) {
    const std::string& dw = builder.node(match.depthwise.conv->node).name;
    const std::string& pw = builder.node(match.pointwise.conv->node).name;
    depthwise = weight_data(builder, dw + ".weight");
    depthwise_bias = weight_data(builder, dw + ".bias");
    pointwise = weight_data(builder, pw + ".weight");
    pointwise_bias = weight_data(builder, pw + ".bias");
  }
};

kernels::AlgorithmChoice algorithm_choice(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::direct:
      return kernels::AlgorithmChoice::kDirect;
    case Algorithm::strassen:
      return kernels::AlgorithmChoice::kStrassen;
    case Algorithm::automatic:
      break;
  }
  return kernels::AlgorithmChoice::kAuto;
}

// Whether `automatic` may use Strassen's algorithm; reads all of the weights.
bool well_scaled(const kernels::BlockShape& shape, const PairWeights& weights) {
  const bool even = shape.channels_in % 2 == 0 && shape.channels_out % 2 == 0;
  return even && strassen_growth(shape.channels_in, shape.channels_out, weights.depthwise,
                                 weights.depthwise_bias, weights.pointwise) <= kMaxStrassenGrowth;
}

// The stored plan's, or the fastest by the cost model.
kernels::Tiling tiling_of(const kernels::BlockShape& shape, const PairMatch& match,
                          const PlanBuilder& builder) {
  const CompileOptions& options = builder.options();
  if (!options.tilings.empty()) {
    const std::string& name = builder.node(match.pointwise.conv->node).name;
    const auto found = options.tilings.find(name);
    if (found == options.tilings.end()) throw Error(concat("[plan] no tiling of ", name));
    return found->second;
  }
  // Images are spread over the threads first: only then the tiles of one.
  const int images = static_cast<int>(std::max<std::int64_t>(1, builder.shape(match.input)[0]));
  const int threads = std::max(1, options.threads / images);
  const auto choose = [&](kernels::AlgorithmChoice choice) {
    return kernels::choose_tiling(table(), kernels::machine_model(table()), shape, choice, threads);
  };
  const kernels::Tiling tiling = choose(algorithm_choice(options.algorithm));
  const bool unsafe = options.algorithm == Algorithm::automatic &&
                      tiling.algorithm == kernels::Algorithm::kStrassen &&
                      !well_scaled(shape, PairWeights(match, builder));
  return unsafe ? choose(kernels::AlgorithmChoice::kDirect) : tiling;
}

}  // namespace

PackedPair pack_pair(const PairMatch& match, bool one_part, PlanBuilder& builder) {
  const Shape& in = builder.shape(match.input);
  kernels::BlockShape shape;
  shape.channels_in = static_cast<int>(in[1]);
  shape.channels_out = static_cast<int>(builder.shape(match.result)[1]);
  shape.height = static_cast<int>(in[2]);
  shape.width = static_cast<int>(in[3]);
  shape.stride = static_cast<int>(match.stride);
  const auto activation = [](bool relu) {
    return relu ? kernels::Activation::kRelu : kernels::Activation::kNone;
  };
  shape.depthwise_activation = activation(match.depthwise.relu);
  shape.project.activation = activation(match.pointwise.relu);
  if (match.depthwise.squeeze) shape.excite = kernels::ExcitePlace::kBeforeActivation;
  kernels::Tiling tiling = tiling_of(shape, match, builder);
  if (one_part) tiling.column_parts = 1;
  const std::string& name = builder.node(match.pointwise.conv->node).name;
  builder.tilings[name] = tiling;
  PackedPair packed{kernels::plan_block(table().traits, shape, tiling), nullptr};
  packed.weights = builder.packed(concat(name, " fused ", algorithm_name(packed.plan)),
                                  packed.plan.packed_bytes(), [&](void* out) {
                                    const PairWeights weights(match, builder);
                                    kernels::pack_block(packed.plan,
                                                        {.depthwise = weights.depthwise,
                                                         .depthwise_bias = weights.depthwise_bias,
                                                         .project = weights.pointwise,
                                                         .project_bias = weights.pointwise_bias},
                                                        static_cast<float*>(out));
                                  });
  return packed;
}

std::string algorithm_name(const BlockPlan& plan) {
  return plan.project.strassen() ? "strassen" : "direct";
}

void emit_pair(const PairMatch& match, PlanBuilder& builder) {
  PairSpec spec;
  spec.packed = pack_pair(match, false, builder);
  spec.depthwise_squeeze = pack(match.depthwise.squeeze, builder);
  spec.pointwise_squeeze = pack(match.pointwise.squeeze, builder);
  spec.images = builder.shape(match.result)[0];
  spec.threads = builder.options().threads;
  spec.pool = pool(spec.threads);
  spec.fetched_floats =
      announce_panel(spec.packed.data(), spec.packed.plan.first_floats(), builder);
  spec.src = builder.in_layout(match.input, map_layout());
  spec.src_factor = builder.factor_of(match.input);
  spec.dst = builder.new_result(match.result, map_layout());
  std::vector<ValueId> reads{spec.src}, writes{spec.dst};
  if (spec.src_factor >= 0) reads.push_back(spec.src_factor);
  if (spec.pointwise_squeeze) {
    spec.dst_factor =
        builder.new_temporary({spec.images, kernels::padded(spec.packed.plan.shape.channels_out)});
    builder.set_factor(match.result, spec.dst_factor);
    writes.push_back(spec.dst_factor);
  }
  std::vector<const LoweredOp*> ops;
  for (const ConvMatch* conv : {&match.depthwise, &match.pointwise}) {
    for (std::size_t i = 0; i < conv->taken; ++i) ops.push_back(conv->conv + i);
  }
  const BlockPlan& plan = spec.packed.plan;
  StepInfo info = describe(ops, builder,
                           concat("fused ", kernels::isa_name(table().isa), " ",
                                  algorithm_name(plan), " rows=", plan.tile_rows));
  builder.add_step(std::make_unique<PairStep>(std::move(info), std::move(spec)), reads, writes);
}

}  // namespace mobileone::fused
