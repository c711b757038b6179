#include "mobileone/backends/fused/patterns/packed_block.hpp"

#include "mobileone/backends/fused/patterns/joined_step.hpp"
#include "mobileone/backends/fused/strassen_guard.hpp"
#include "mobileone/backends/fused/tiling.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone::fused {

namespace {

using kernels::BlockPlan;
using kernels::BlockShape;

// Of the kernel that the block runs: a dilated one is a wider one with zeros between its weights.
int depthwise_kernel(const Conv2d& conv) {
  return static_cast<int>((conv.kernel[0] - 1) * conv.dilation[0] + 1);
}

// [channels][kernel][kernel] with zeros between the weights of a dilated kernel.
std::vector<float> spread(const Conv2d& conv, const float* weight) {
  const int kernel = static_cast<int>(conv.kernel[0]), wide = depthwise_kernel(conv);
  const int step = static_cast<int>(conv.dilation[0]);
  std::vector<float> result(static_cast<std::size_t>(conv.out_channels) * wide * wide);
  for (std::int64_t c = 0; c < conv.out_channels; ++c) {
    float* to = result.data() + c * wide * wide;
    for (int y = 0; y < kernel; ++y) {
      for (int x = 0; x < kernel; ++x) to[y * step * wide + x * step] = *weight++;
    }
  }
  return result;
}

// The block's weights as the network holds them; `kept` has those that are made of them: without
// the columns of a pixel, or spread.
kernels::BlockWeights weights_of(const BlockMatch& match, const PlanBuilder& builder,
                                 std::vector<float>& kept) {
  kernels::BlockWeights weights;
  if (match.expand) {
    const NodeWeights expand(match.expand->node, builder);
    weights.expand = expand.weight();
    weights.expand_bias = expand.bias();
    if (match.joined && match.joined->pixel >= 0) {
      const auto& conv = std::get<Conv2d>(builder.node(match.expand->node).op);
      kept = map_columns(*match.joined, conv, weights.expand);
      weights.expand = kept.data();
    }
  }
  if (const Conv2d* const conv = match.find_depthwise(builder)) {
    const NodeWeights depthwise(match.depthwise.node, builder);
    weights.depthwise = depthwise.weight();
    if (conv->dilation[0] > 1) {
      kept = spread(*conv, weights.depthwise);
      weights.depthwise = kept.data();
    }
    weights.depthwise_bias = depthwise.bias();
  }
  const NodeWeights project(match.project.node, builder);
  weights.project = project.weight();
  weights.project_bias = project.bias();
  return weights;
}

// How many of `levels` of Strassen's algorithm `automatic` may use; reads all of the weights.
int safe_levels(int levels, const BlockShape& shape, const kernels::BlockWeights& weights) {
  const auto safe = [&](int count) {
    const int parts = 1 << count;
    return shape.hidden() % parts == 0 && shape.channels_out % parts == 0 &&
           strassen_growth(count, shape.hidden(), shape.channels_out, shape.kernel * shape.kernel,
                           weights.depthwise, weights.depthwise_bias,
                           weights.project) <= max_strassen_growth(count);
  };
  while (levels > 0 && !safe(levels)) --levels;
  return levels;
}

kernels::Tiling tiling_of(const BlockShape& shape, const BlockMatch& match, bool one_part,
                          PlanBuilder& builder) {
  const auto fastest = by_cost_model(shape, table(builder));
  const auto allowed = [&](int levels) {
    std::vector<float> kept;
    return safe_levels(levels, shape, weights_of(match, builder, kept));
  };
  const auto choose = [&](kernels::TilingRequest request) {
    kernels::Tiling tiling = fastest(request);
    if (request.choice != kernels::AlgorithmChoice::kAuto) return tiling;
    const int levels = static_cast<int>(tiling.algorithm);
    request.most_levels = levels > 0 ? allowed(levels) : 0;
    return request.most_levels < levels ? fastest(request) : tiling;
  };
  const std::string& name = builder.node(match.project.node).name;
  const auto tuned =
      tuned_tiling(name, builder, [&] { return shape.is_pair() ? allowed(kMostLevels) : 0; });
  const std::int64_t images = builder.shape(match.source)[0];
  kernels::Tiling tiling =
      tiling_for(name, images, match.factor.has_value(), tuned, builder, choose);
  if (one_part) tiling.column_parts = 1;
  return tiling;
}

BlockShape shape_of(const BlockMatch& match, const PlanBuilder& builder) {
  const kernels::MapShape in = map_shape(builder.shape(match.source));
  BlockShape shape;
  shape.channels_in = match.joined ? match.joined->channels : in.channels;
  if (match.expand) {
    const auto& expand = std::get<Conv2d>(builder.node(match.expand->node).op);
    shape.expanded = static_cast<int>(expand.out_channels);
    shape.expand_activation = match.expand->activation;
  }
  shape.channels_out = map_shape(builder.shape(match.result())).channels;
  shape.height = in.height;
  shape.width = in.width;
  const Conv2d* const depthwise = match.find_depthwise(builder);
  shape.kernel = depthwise ? depthwise_kernel(*depthwise) : 0;
  shape.stride = depthwise ? static_cast<int>(depthwise->stride[0]) : 1;
  shape.depthwise_activation = match.depthwise.activation;
  shape.excite = match.place;
  shape.project = {match.project.activation, match.residual};
  return shape;
}

const char* algorithm_name(const BlockPlan& plan) {
  constexpr const char* kNames[] = {"direct", "strassen", "strassen levels=2"};
  return kNames[plan.project.levels()];
}

}  // namespace

std::string PackedBlock::details() const {
  return concat(algorithm_name(plan), " rows=", plan.tile_rows, tuned ? " tuned" : "");
}

PackedBlock pack_block(const BlockMatch& match, bool one_part, PlanBuilder& builder) {
  const BlockShape shape = shape_of(match, builder);
  const kernels::Tiling tiling = tiling_of(shape, match, one_part, builder);
  const kernels::KernelTable& kernels = table(builder);
  PackedBlock packed{kernels::plan_block(kernels.traits, shape, tiling), nullptr,
                     is_tuned(builder.node(match.project.node).name, builder)};
  const bool narrowed = match.joined && match.joined->pixel >= 0;
  const char* const kind = narrowed       ? " fused block of maps"
                           : match.expand ? " fused block"
                                          : " fused";
  const std::string precision = note_precision(match.project.node, kernels, builder);
  packed.weights =
      builder.packed(concat(builder.node(match.project.node).name, kind, precision, " ",
                            algorithm_name(packed.plan)),
                     packed.plan.packed_bytes(), [&](void* out) {
                       std::vector<float> kept;
                       kernels::pack_block(packed.plan, weights_of(match, builder, kept),
                                           static_cast<float*>(out));
                     });
  return packed;
}

}  // namespace mobileone::fused
