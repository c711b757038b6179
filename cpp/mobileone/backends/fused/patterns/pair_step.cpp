#include "mobileone/backends/fused/patterns/pair_step.hpp"

#include <algorithm>

#include "mobileone/backends/fused/strassen_guard.hpp"
#include "mobileone/backends/fused/tiled_step.hpp"
#include "mobileone/backends/fused/tiling.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

using kernels::DwPwPlan;

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
  const NodeWeights reduce(match->reduce, builder), expand(match->expand, builder);
  const auto pack_into = [&](void* out) {
    kernels::pack_squeeze_excite(result.shape.channels, result.shape.reduced, reduce.weight(),
                                 reduce.bias(), expand.weight(), expand.bias(),
                                 static_cast<float*>(out));
  };
  result.weights = builder.packed(builder.node(match->reduce).name + " fused",
                                  result.shape.packed_floats() * sizeof(float), pack_into);
  result.shape.packed = static_cast<const float*>(result.weights.get());
  return result;
}

struct PairOperands {
  PackedPair pair;
  PackedSqueeze depthwise_squeeze, pointwise_squeeze;
  ValueId src = -1, dst = -1;
  ValueId src_factor = -1;  // [N, padded channels] or none
  ValueId dst_factor = -1;  // written when the pointwise has an SE
  std::ptrdiff_t fetched_floats = 0;

  // Shared scratch: the SE's hidden layer, then the sums over pixels of every unit's output.
  std::ptrdiff_t hidden_floats() const {
    return pointwise_squeeze ? kernels::padded(pointwise_squeeze.shape.reduced) : 0;
  }
  std::ptrdiff_t unit_sums() const { return kernels::padded(pair.plan.shape.channels_out); }
  std::ptrdiff_t sums_floats() const {
    return pointwise_squeeze ? pair.plan.units() * unit_sums() : 0;
  }
};

class PairStep : public TiledStep {
 public:
  PairStep(StepInfo info, const Work& work, PairOperands operands)
      : TiledStep(std::move(info), work), operands_(std::move(operands)) {}
  Prefetching prefetching() const override { return Prefetching::brings; }

 protected:
  void run_units(const Buffers& buffers, const UnitRange& range) const override {
    if (!operands_.pointwise_squeeze) return run(buffers, range, nullptr);
    // Every unit sums on its own, and the sums are added in order: the same bits on any thread.
    UnitRange unit = range;
    for (int i = range.begin; i < range.end; ++i) {
      unit.begin = i;
      unit.end = i + 1;
      run(buffers, unit, sums(buffers) + i * operands_.unit_sums());
    }
  }
  void begin_image(const Buffers& buffers, std::int64_t) const override {
    std::fill_n(sums(buffers), operands_.sums_floats(), 0.f);
  }
  void finish_image(const Buffers& buffers, std::int64_t image) const override {
    const kernels::DwPwShape& shape = operands_.pair.plan.shape;
    float* const total = sums(buffers);
    const std::ptrdiff_t channels = operands_.unit_sums();
    for (std::ptrdiff_t at = channels; at < operands_.sums_floats(); at += channels) {
      std::transform(total, total + channels, total + at, total, std::plus<>());
    }
    table().squeeze_excite(operands_.pointwise_squeeze.shape, total,
                           shape.out_height() * shape.out_width(), hidden(buffers),
                           factor(buffers, operands_.dst_factor, image, shape.channels_out));
  }

 private:
  static float* hidden(const Buffers& buffers) {
    return reinterpret_cast<float*>(buffers.scratch());
  }
  float* sums(const Buffers& buffers) const { return hidden(buffers) + operands_.hidden_floats(); }
  static float* factor(const Buffers& buffers, ValueId id, std::int64_t image, int channels) {
    return id < 0 ? nullptr : floats(buffers, id) + image * kernels::padded(channels);
  }

  void run(const Buffers& buffers, const UnitRange& range, float* unit_sums) const {
    const DwPwPlan& plan = operands_.pair.plan;
    kernels::DwPwArgs args;
    args.src = map_of(buffers, operands_.src, plan.shape.src(), range.image);
    args.dst = map_of(buffers, operands_.dst, plan.shape.dst(), range.image);
    args.packed = operands_.pair.data();
    args.src_scale = factor(buffers, operands_.src_factor, range.image, plan.shape.channels_in);
    if (operands_.depthwise_squeeze) args.depthwise_se = &operands_.depthwise_squeeze.shape;
    args.dst_sums = unit_sums;
    args.scratch = range.scratch;
    if (next().late) {
      args.next_panel = next().data;
      args.next_panel_floats = next().floats;
    } else {
      args.next_data = next().data;
      args.next_floats = next().floats;
    }
    args.fetched_floats = operands_.fetched_floats;
    table().run_dwpw(plan, args, range.begin, range.end);
  }

  PairOperands operands_;
};

// The pair's weights as the network holds them.
struct PairWeights {
  NodeWeights depthwise, pointwise;
  PairWeights(const PairMatch& match, const PlanBuilder& builder)
      : depthwise(match.depthwise.node, builder), pointwise(match.pointwise.node, builder) {}
};

// Whether `automatic` may use Strassen's algorithm; reads all of the weights.
bool well_scaled(const kernels::DwPwShape& shape, const PairWeights& weights) {
  const bool even = shape.channels_in % 2 == 0 && shape.channels_out % 2 == 0;
  return even && strassen_growth(shape.channels_in, shape.channels_out, weights.depthwise.weight(),
                                 weights.depthwise.bias(),
                                 weights.pointwise.weight()) <= kMaxStrassenGrowth;
}

kernels::Tiling tiling_of(const kernels::DwPwShape& shape, const PairMatch& match, bool one_part,
                          PlanBuilder& builder) {
  const auto fastest = by_cost_model(shape);
  const auto choose = [&](kernels::AlgorithmChoice choice, int threads) {
    kernels::Tiling tiling = fastest(choice, threads);
    const bool unsafe = choice == kernels::AlgorithmChoice::kAuto &&
                        tiling.algorithm == kernels::Algorithm::kStrassen &&
                        !well_scaled(shape, PairWeights(match, builder));
    if (unsafe) tiling = fastest(kernels::AlgorithmChoice::kDirect, threads);
    if (one_part) tiling.column_parts = 1;
    return tiling;
  };
  return tiling_for(builder.node(match.pointwise.node).name, builder.shape(match.source)[0],
                    match.pointwise.squeeze.has_value(), builder, choose);
}

kernels::DwPwShape shape_of(const PairMatch& match, const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  const auto& depthwise = std::get<Conv2d>(builder.node(match.depthwise.node).op);
  kernels::DwPwShape shape;
  shape.channels_in = in.channels;
  shape.channels_out = map_shape(builder.shape(match.result())).channels;
  shape.height = in.height;
  shape.width = in.width;
  shape.stride = static_cast<int>(depthwise.stride[0]);
  shape.depthwise_relu = match.depthwise.activation == kernels::Activation::kRelu;
  shape.pointwise_relu = match.pointwise.activation == kernels::Activation::kRelu;
  shape.depthwise_se = match.depthwise.squeeze.has_value();
  return shape;
}

const char* algorithm_name(const DwPwPlan& plan) {
  return plan.pointwise.strassen() ? "strassen" : "direct";
}

}  // namespace

std::string PackedPair::details() const {
  return concat(algorithm_name(plan), " rows=", plan.tile_rows);
}

PackedPair pack_pair(const PairMatch& match, bool one_part, PlanBuilder& builder) {
  const kernels::DwPwShape shape = shape_of(match, builder);
  const kernels::Tiling tiling = tiling_of(shape, match, one_part, builder);
  PackedPair packed{kernels::plan_dwpw(table().panel_blocks, shape, tiling), nullptr};
  packed.weights = builder.packed(
      concat(builder.node(match.pointwise.node).name, " fused ", algorithm_name(packed.plan)),
      packed.plan.packed_bytes(), [&](void* out) {
        const PairWeights weights(match, builder);
        kernels::pack_dwpw(packed.plan, weights.depthwise.weight(), weights.depthwise.bias(),
                           weights.pointwise.weight(), weights.pointwise.bias(),
                           static_cast<float*>(out));
      });
  return packed;
}

void emit_pair(const PairMatch& match, PlanBuilder& builder) {
  PairOperands operands;
  operands.pair = pack_pair(match, false, builder);
  const DwPwPlan& plan = operands.pair.plan;
  operands.depthwise_squeeze = pack(match.depthwise.squeeze, builder);
  operands.pointwise_squeeze = pack(match.pointwise.squeeze, builder);
  operands.fetched_floats = announce_late(operands.pair.data(), plan.first_floats(), builder);
  operands.src = builder.in_layout(match.source, map_layout());
  operands.src_factor = builder.factor_of(match.source);
  operands.dst = builder.new_result(match.result(), map_layout());
  TiledStep::Work work;
  work.map = operands.dst;
  work.map_shape = plan.shape.dst();
  work.images = builder.shape(match.result())[0];
  work.units = plan.units();
  work.threads = builder.options().threads;
  work.thread_bytes = plan.scratch_bytes();
  std::vector<ValueId> reads{operands.src}, writes{operands.dst};
  if (operands.src_factor >= 0) reads.push_back(operands.src_factor);
  if (operands.pointwise_squeeze) {
    operands.dst_factor = builder.new_temporary({work.images, operands.unit_sums()});
    builder.set_factor(match.result(), operands.dst_factor);
    writes.push_back(operands.dst_factor);
    work.in_turn = true;  // an image's factor is made of its sums before the next one's begin
    work.shared_bytes =
        sizeof(float) * std::size_t(operands.hidden_floats() + operands.sums_floats());
  }
  StepInfo info = describe(match.ops, builder, implementation(operands.pair.details()));
  builder.add_step(std::make_unique<PairStep>(std::move(info), work, std::move(operands)), reads,
                   writes);
}

}  // namespace mobileone::fused
