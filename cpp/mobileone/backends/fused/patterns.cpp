#include "mobileone/backends/fused/patterns.hpp"

#include "mobileone/backends/fused/patterns/attention_step.hpp"
#include "mobileone/backends/fused/patterns/block_step.hpp"
#include "mobileone/backends/fused/patterns/channels_step.hpp"
#include "mobileone/backends/fused/patterns/conv_step.hpp"
#include "mobileone/backends/fused/patterns/depthwise_step.hpp"
#include "mobileone/backends/fused/patterns/elements_step.hpp"
#include "mobileone/backends/fused/patterns/linear_step.hpp"
#include "mobileone/backends/fused/patterns/pool_step.hpp"
#include "mobileone/backends/fused/patterns/quantized_dense_step.hpp"
#include "mobileone/backends/fused/patterns/quantized_excite_step.hpp"
#include "mobileone/backends/fused/patterns/quantized_linear_step.hpp"
#include "mobileone/backends/fused/patterns/quantized_step.hpp"
#include "mobileone/backends/fused/patterns/seam_step.hpp"
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
    {"stem and convolution", take<match_stem_conv, emit_stem_conv>},
    {"stem", take<match_stem, emit_stem>},
    {"block", take<match_block, emit_block>},
    {"transformer", take<match_transformer, emit_transformer>},
    {"dense convolution", take<match_dense_conv, emit_dense_conv>},
    {"depthwise", take<match_depthwise, emit_depthwise>},
    {"squeeze-and-excitation", take<match_excite, emit_elements>},
    {"pool", take<match_pool, emit_pool>},
    {"sum", take<match_sum, emit_elements>},
    {"activation", take<match_activation, emit_elements>},
    {"maxima", take<match_maxima, emit_maxima>},
    {"channels", take<match_channels, emit_channels>},
    {"attention", take<match_attention, emit_attention>},
    {"linear", take<match_linear, emit_linear>},
    {"quantized stem", take<match_quantized_stem, emit_quantized_stem>},
    {"quantized block", take<match_quantized_block, emit_quantized_block>},
    {"quantized dense", take<match_quantized_dense, emit_quantized_dense>},
    {"quantized excite", take<match_quantized_excite, emit_quantized_excite>},
    {"quantized excite and pool", take<match_quantized_excite_pool, emit_quantized_excite_pool>},
    {"quantized pool", take<match_quantized_pool, emit_quantized_pool>},
    {"quantized linear", take<match_quantized_linear, emit_quantized_linear>},
    {"activation of bytes", take<match_byte_activation, emit_seam>},
    {"tokens of bytes", take<match_tokens_of_bytes, emit_seam>},
    {"bytes of tokens", take<match_bytes_of_tokens, emit_seam>},
    {"numbers of bytes", take<match_numbers, emit_seam>},
    {"bytes of numbers", take<match_bytes, emit_seam>},
};

}  // namespace

std::span<const Pattern> patterns() { return kPatterns; }

}  // namespace mobileone::fused
