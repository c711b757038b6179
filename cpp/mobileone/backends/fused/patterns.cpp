#include "mobileone/backends/fused/patterns.hpp"

#include "mobileone/backends/fused/patterns/conv_step.hpp"
#include "mobileone/backends/fused/patterns/inverted_residual_step.hpp"
#include "mobileone/backends/fused/patterns/linear_step.hpp"
#include "mobileone/backends/fused/patterns/pair_step.hpp"
#include "mobileone/backends/fused/patterns/pool_step.hpp"
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
    {"stem and pair", take<match_stem_pair, emit_stem_pair>},
    {"stem", take<match_stem, emit_stem>},
    {"pair", take<match_pair, emit_pair>},
    {"transformer", take<match_transformer, emit_transformer>},
    {"inverted residual", take<match_inverted_residual, emit_inverted_residual>},
    {"dense convolution", take<match_dense_conv, emit_dense_conv>},
    {"pool", take<match_pool, emit_pool>},
    {"linear", take<match_linear, emit_linear>},
};

}  // namespace

std::span<const Pattern> patterns() { return kPatterns; }

}  // namespace mobileone::fused
