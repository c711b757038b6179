// Attention with gradients: a task is one head of one sequence.
#include "mobileone/backends/training/operators.hpp"

namespace mobileone::training {

namespace {

// Sizes of [sequences, tokens, 3 width] -> [sequences, tokens, width].
struct Heads {
  std::int64_t sequences, tokens, width, heads;

  std::int64_t tasks() const { return sequences * heads; }
  std::int64_t size() const { return width / heads; }
  std::int64_t packed(std::int64_t task) const {
    return task / heads * tokens * 3 * width + task % heads * size();
  }
  std::int64_t result(std::int64_t task) const {
    return task / heads * tokens * width + task % heads * size();
  }
  kernels::RowAttention shape() const {
    return {static_cast<int>(tokens), static_cast<int>(size()), 3 * width, width};
  }
  kernels::PackedHead head(const float* packed) const {
    return {packed, packed + width, packed + 2 * width};
  }
};

void emit_attention_backward(const Heads& heads, const LoweredOp& op, ValueId x,
                             PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  // Of the five products of tokens by tokens the forward step has two.
  const std::int64_t macs = 5 * element_count(builder.shape(op.result)) * heads.tokens;
  const std::int64_t per_worker = heads.shape().gradient_floats(table().traits);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, heads.tasks(), [&](std::int64_t task, int worker) {
      kernels::AttentionGradient args;
      args.shape = heads.shape();
      args.x = heads.head(floats(buffers, x) + heads.packed(task));
      args.dy = floats(buffers, dy) + heads.result(task);
      args.dqueries = floats(buffers, dx) + heads.packed(task);
      args.dkeys = args.dqueries + heads.width;
      args.dvalues = args.dkeys + heads.width;
      args.scratch = scratch_of(worker, per_worker, buffers);
      table().attention_gradient(args);
    });
  };
  builder.add_step(function_step(describe_backward(op, builder, "backward", macs), run,
                                 scratch_bytes(builder, per_worker)),
                   {x, dy}, {dx});
  builder.add_gradient(source, dx);
}

}  // namespace

bool emit_attention(const LoweredOp& op, PlanBuilder& builder) {
  const auto* attention = std::get_if<Attention>(&builder.node(op.node).op);
  if (!attention) return false;
  const NodeId source = builder.node(op.node).inputs[0];
  const Shape& packed = builder.shape(source);
  const Heads heads{packed[0], packed[1], packed[2] / 3, attention->heads};
  const ValueId x = builder.in_layout(source, Layout::nchw());
  const ValueId y = builder.new_result(op.result, Layout::nchw());
  const std::int64_t per_worker = heads.shape().forward_floats(table().traits);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, heads.tasks(), [&](std::int64_t task, int worker) {
      table().attention_forward({heads.shape(), heads.head(floats(buffers, x) + heads.packed(task)),
                                 floats(buffers, y) + heads.result(task),
                                 scratch_of(worker, per_worker, buffers)});
    });
  };
  builder.add_step(function_step(describe(op, builder, implementation()), run,
                                 scratch_bytes(builder, per_worker)),
                   {x}, {y});
  builder.on_backward([=, &builder] { emit_attention_backward(heads, op, x, builder); });
  return true;
}

}  // namespace mobileone::training
