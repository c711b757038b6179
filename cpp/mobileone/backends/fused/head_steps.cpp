#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

struct PoolSpec {
  kernels::MapShape map;
  ValueId src, dst, factor;
  std::int64_t images;
};

class BoundPool : public BoundStep {
 public:
  BoundPool(const PoolSpec& spec, const Buffers& buffers)
      : spec_(spec),
        src_(static_cast<const float*>(buffers.address(spec.src))),
        dst_(static_cast<float*>(buffers.address(spec.dst))),
        factor_(spec.factor < 0 ? nullptr
                                : static_cast<const float*>(buffers.address(spec.factor))) {}

  void run() override {
    const std::int64_t channels = kernels::padded(spec_.map.channels);
    for (std::int64_t image = 0; image < spec_.images; ++image) {
      table().global_pool(spec_.map, src_ + image * spec_.map.num_floats(),
                          factor_ ? factor_ + image * channels : nullptr, dst_ + image * channels);
    }
  }

 private:
  const PoolSpec& spec_;
  const float* src_;
  float* dst_;
  const float* factor_;
};

struct LinearSpec {
  kernels::LinearPlan plan;
  std::shared_ptr<const void> weights;
  ValueId src, dst;
  int batch;
  ThreadPool* pool;
};

class BoundLinear : public BoundStep {
 public:
  BoundLinear(const LinearSpec& spec, const Buffers& buffers) : spec_(spec), buffers_(buffers) {}

  void run() override {
    kernels::LinearArgs args;
    args.src = static_cast<const float*>(buffers_.address(spec_.src));
    args.src_stride = kernels::padded(spec_.plan.in_features);
    args.dst = static_cast<float*>(buffers_.address(spec_.dst));
    args.batch = spec_.batch;
    args.packed = static_cast<const float*>(spec_.weights.get());
    spread(spec_.pool, spec_.plan.num_panels(),
           [&](int begin, int end, int) { table().linear(spec_.plan, args, begin, end); });
  }

 private:
  const LinearSpec& spec_;
  const Buffers& buffers_;
};

template <typename Spec, typename Bound>
class HeadStep : public Step {
 public:
  HeadStep(StepInfo info, Spec spec) : Step(std::move(info)), spec_(std::move(spec)) {}
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<Bound>(spec_, buffers);
  }

 private:
  Spec spec_;
};

std::string implementation() { return concat("fused ", kernels::isa_name(table().isa)); }

}  // namespace

void emit_pool(const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  PoolSpec spec{map_shape(builder.shape(input)), builder.value_of(input), -1,
                builder.factor_of(input), builder.shape(input)[0]};
  // [N][padded channels]: what the classifier reads.
  spec.dst = builder.new_result(op.result, Layout::blocked(kernels::kBlock));
  std::vector<ValueId> reads{spec.src};
  if (spec.factor >= 0) reads.push_back(spec.factor);
  builder.add_step(std::make_unique<HeadStep<PoolSpec, BoundPool>>(
                       describe(op, builder, implementation()), spec),
                   reads, {spec.dst});
}

void emit_linear(const Linear& linear, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  LinearSpec spec;
  spec.plan = {static_cast<int>(linear.in_features), static_cast<int>(linear.out_features),
               table().traits.linear_columns()};
  spec.weights = builder.packed(node.name + " fused", spec.plan.packed_bytes(), [&](void* out) {
    kernels::pack_linear(spec.plan, weight_data(builder, node.name + ".weight"),
                         weight_data(builder, node.name + ".bias", linear.bias),
                         static_cast<float*>(out));
  });
  announce(static_cast<const float*>(spec.weights.get()), spec.plan.packed_bytes(), builder);
  spec.batch = static_cast<int>(builder.shape(op.result)[0]);
  spec.pool = pool(builder.options().threads);
  spec.src = builder.in_layout(node.inputs[0], Layout::blocked(kernels::kBlock));
  spec.dst = builder.new_result(op.result, Layout::nchw(), true);
  const std::vector<ValueId> reads{spec.src}, writes{spec.dst};
  builder.add_step(std::make_unique<HeadStep<LinearSpec, BoundLinear>>(
                       describe(op, builder, implementation()), std::move(spec)),
                   reads, writes);
}

}  // namespace mobileone::fused
