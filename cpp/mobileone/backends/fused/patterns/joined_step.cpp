#include "mobileone/backends/fused/patterns/joined_step.hpp"

#include <algorithm>

#include "mobileone/backends/fused/patterns/linear_step.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

// The pixel's columns and the bias, with rows of zeros for channels that pad the result.
void pack_bias(const JoinedMaps& joined, const Conv2d& conv, const NodeWeights& weights,
               const kernels::LinearPlan& plan, float* packed) {
  const auto outputs = static_cast<std::size_t>(plan.out_features);
  std::vector<float> columns, bias(outputs);
  const float* row = weights.weight() + joined.pixel_begin;
  for (std::int64_t n = 0; n < conv.out_channels; ++n, row += conv.in_channels) {
    columns.insert(columns.end(), row, row + joined.pixel_channels);
  }
  columns.resize(outputs * static_cast<std::size_t>(plan.in_features));
  if (weights.bias() != nullptr) std::copy_n(weights.bias(), conv.out_channels, bias.data());
  kernels::pack_linear(plan, columns.data(), bias.data(), packed);
}

}  // namespace

std::vector<float> map_columns(const JoinedMaps& joined, const Conv2d& conv, const float* weight) {
  std::vector<float> result;
  for (std::int64_t n = 0; n < conv.out_channels; ++n, weight += conv.in_channels) {
    const float* const pixel = weight + joined.pixel_begin;
    result.insert(result.end(), weight, pixel);
    result.insert(result.end(), pixel + joined.pixel_channels, weight + conv.in_channels);
  }
  return result;
}

ValueId add_pixel_bias(const JoinedMaps& joined, NodeId id, PlanBuilder& builder) {
  const Node& node = builder.node(id);
  const auto& conv = std::get<Conv2d>(node.op);
  LinearWork work;
  work.kernels = &table();
  work.plan = {joined.pixel_channels, kernels::padded(static_cast<int>(conv.out_channels)),
               table().traits.linear_columns()};
  work.batch = static_cast<int>(builder.shape(joined.pixel)[0]);
  work.weights =
      builder.packed(node.name + " fused bias", work.plan.packed_bytes(), [&](void* out) {
        pack_bias(joined, conv, NodeWeights(id, builder), work.plan, static_cast<float*>(out));
      });
  work.src = builder.in_layout(joined.pixel, Layout::blocked(kernels::kBlock));
  work.dst = builder.new_temporary({work.batch, work.plan.out_features});
  StepInfo info;
  info.name = node.name;
  info.kind = "Bias";
  info.implementation = implementation();
  info.input_shapes = {builder.shape(joined.pixel)};
  info.output_shape = builder.value(work.dst).shape;
  info.bytes = static_cast<std::int64_t>(work.plan.packed_bytes());
  add_linear(std::move(info), work, builder);
  return work.dst;
}

}  // namespace mobileone::fused
