#include "mobileone/backends/fused/patterns.hpp"

#include "mobileone/backends/fused/patterns/block_step.hpp"
#include "mobileone/backends/fused/patterns/conv_step.hpp"
#include "mobileone/backends/fused/patterns/linear_step.hpp"
#include "mobileone/backends/fused/patterns/pool_step.hpp"
#include "mobileone/backends/fused/patterns/quantized_step.hpp"
#include "mobileone/backends/fused/patterns/stem_step.hpp"
#include "mobileone/backends/fused/patterns/transformer_step.hpp"

namespace mobileone::fused {

namespace {

template <auto match, auto emit>
std::size_t take(const Cursor& cursor, PlanBuilder& builder) {
  const auto found = match(cursor);
  if (!found) return 0;
  emit(*found, builder);
  return found->ops.size();
}

constexpr Pattern kPatterns[] = {
    {"stem and block", take<match_stem_block, emit_stem_block>},
    {"stem", take<match_stem, emit_stem>},
    {"block", take<match_block, emit_block>},
    {"transformer", take<match_transformer, emit_transformer>},
    {"dense convolution", take<match_dense_conv, emit_dense_conv>},
    {"pool", take<match_pool, emit_pool>},
    {"linear", take<match_linear, emit_linear>},
    {"quantized stem", take<match_quantized_stem, emit_quantized_stem>},
    {"quantized block", take<match_quantized_block, emit_quantized_block>},
    {"quantized excite", take<match_quantized_excite, emit_quantized_excite>},
    {"quantized pool", take<match_quantized_pool, emit_quantized_pool>},
};

}  // namespace

std::span<const Pattern> patterns() { return kPatterns; }

}  // namespace mobileone::fused
