#include "mobileone/backends/fused/backend.hpp"

#include "mobileone/backends/fused/patterns/conv_steps.hpp"
#include "mobileone/backends/fused/patterns/transformer_step.hpp"
#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

bool is_map(NodeId id, const PlanBuilder& builder) {
  return builder.value(builder.value_of(id)).layout == map_layout();
}

class FusedBackend : public Backend {
 public:
  std::size_t emit(const std::vector<LoweredOp>& ops, std::size_t at,
                   PlanBuilder& builder) const override {
    if (builder.options().training) return 0;
    if (const auto stem = match_stem(ops, at, builder))
      return emit_stem_on(*stem, ops, at, builder);
    if (const auto pair = match_pair(ops, at, builder)) {
      emit_pair(*pair, builder);
      return pair->taken;
    }
    if (const auto block = match_transformer(ops, at, builder)) {
      emit_transformer(*block, ops, builder);
      return block->taken;
    }
    if (const std::size_t taken = emit_convolutions(ops, at, builder)) return taken;
    const LoweredOp& op = ops[at];
    const Node& node = builder.node(op.node);
    if (std::holds_alternative<GlobalAvgPool>(node.op) && is_map(node.inputs[0], builder)) {
      emit_pool(op, builder);
      return 1;
    }
    const auto* linear = std::get_if<Linear>(&node.op);
    if (linear && !op.activation && builder.shape(node.inputs[0]).size() == 4) {
      emit_linear(*linear, op, builder);
      return 1;
    }
    return 0;
  }

  std::unique_ptr<Step> reorder(ValueId from, ValueId to,
                                const PlanBuilder& builder) const override {
    return reorder_step(from, to, builder);
  }

  bool storable() const override { return true; }

 private:
  // Convolutions of what is a map already, and the stem that makes the first one.
  static std::size_t emit_convolutions(const std::vector<LoweredOp>& ops, std::size_t at,
                                       PlanBuilder& builder) {
    const auto span = [&](std::size_t taken) {
      std::vector<const LoweredOp*> group;
      for (std::size_t i = 0; i < taken; ++i) group.push_back(&ops[at + i]);
      return group;
    };
    if (is_silu_stem(ops, at, builder)) {
      emit_silu_stem(ops[at], builder);
      return 1;
    }
    const auto block = match_inverted_residual(ops, at, builder);
    if (block && is_map(block->source, builder)) {
      emit_inverted_residual(*block, span(block->taken), builder);
      return block->taken;
    }
    const auto conv = match_dense_conv(ops, at, builder);
    if (conv && is_map(conv->source, builder)) {
      emit_dense_conv(*conv, span(conv->taken), builder);
      return conv->taken;
    }
    return 0;
  }

  static std::size_t emit_stem_on(const ConvMatch& stem, const std::vector<LoweredOp>& ops,
                                  std::size_t at, PlanBuilder& builder) {
    const auto pair = match_pair(ops, at + 1, builder);
    const bool together = pair && pair->input == stem.result && pair->stride == 2 &&
                          !pair->depthwise.squeeze && !pair->pointwise.squeeze &&
                          builder.readers(stem.result).size() == 1 &&
                          !builder.is_output(stem.result);
    if (!together) {
      emit_stem(stem, builder);
      return 1;
    }
    emit_stem_pair(stem, *pair, builder);
    return 1 + pair->taken;
  }
};

}  // namespace

const Backend* backend() {
  static const FusedBackend instance;
  return kernels::supported_isas().empty() ? nullptr : &instance;
}

}  // namespace mobileone::fused
