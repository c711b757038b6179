#include "mobileone/backends/fused/patterns/quantized_match.hpp"

#include <algorithm>

#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

kernels::ByteRange range_of(const QuantizedConvolution& op) {
  return {static_cast<int>(op.output_zero_point), static_cast<int>(op.least())};
}

// Whoever reads the node takes it for integers: others might not know the layout of bytes.
bool is_read_as_bytes(NodeId id, const PlanBuilder& builder) {
  return std::ranges::all_of(builder.readers(id), [&](NodeId reader) {
    const Op& op = builder.node(reader).op;
    return std::holds_alternative<QuantizedConvolution>(op) ||
           std::holds_alternative<Dequantize>(op);
  });
}

bool is_bytes(NodeId id, std::int64_t zero_point, const PlanBuilder& builder) {
  return builder.value(builder.value_of(id)).layout == byte_layout(zero_point);
}

// Whether nobody else reads a node for what is wanted: feature levels that are not are no reason.
bool is_only_needed_by(NodeId id, NodeId reader, const PlanBuilder& builder) {
  const std::vector<bool> needed = builder.network().graph.needed_for(builder.options().outputs);
  return !builder.is_output(id) && std::ranges::all_of(builder.readers(id), [&](NodeId other) {
    return other == reader || !needed[static_cast<std::size_t>(other)];
  });
}

// The next operator, where it reads what was taken last and nobody else does.
const QuantizedConvolution* take_next(Cursor& cursor, std::int64_t zero_point) {
  const auto* op = cursor.hands_over() ? cursor.take<QuantizedConvolution>() : nullptr;
  return op && op->input_zero_point == zero_point && !op->float_result ? op : nullptr;
}

}  // namespace

Layout byte_layout(std::int64_t zero_point) {
  return Layout::byte_map(kernels::kBlock, static_cast<int>(zero_point));
}

std::optional<QuantizedStemMatch> match_quantized_stem(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  const auto* quantize = cursor.take<Quantize>();
  if (!quantize || !quantized_kernels()) return std::nullopt;
  QuantizedStemMatch match;
  match.image = builder.node(cursor.node()).inputs[0];
  if (!std::holds_alternative<Input>(builder.node(match.image).op)) return std::nullopt;
  const auto* conv = take_next(cursor, quantize->zero_point);
  const bool fits = conv && conv->in_channels == 3 && is_dense(conv->convolution(), 3, 2) &&
                    is_read_as_bytes(cursor.result(), builder);
  if (!fits) return std::nullopt;
  const kernels::ByteMap image = byte_map(builder.shape(match.image));
  match.conv = cursor.node();
  match.plan = {image.height,
                image.width,
                static_cast<int>(conv->out_channels),
                static_cast<float>(quantize->scale),
                static_cast<int>(quantize->zero_point),
                range_of(*conv),
                quantized_kernels()->traits};
  match.ops = cursor.taken();
  return match;
}

std::optional<QuantizedBlockMatch> match_quantized_block(const Cursor& at) {
  Cursor cursor = at;
  const PlanBuilder& builder = at.builder();
  const auto* depthwise = cursor.take<QuantizedConvolution>();
  if (!depthwise || !quantized_kernels() || depthwise->float_result) return std::nullopt;
  const Conv2d first = depthwise->convolution();
  const bool square = is_square(first, 3, 1) || is_square(first, 3, 2);
  if (!first.depthwise() || !square) return std::nullopt;
  QuantizedBlockMatch match;
  match.depthwise = cursor.node();
  match.source = builder.node(match.depthwise).inputs[0];
  if (!is_bytes(match.source, depthwise->input_zero_point, builder)) return std::nullopt;
  const auto* project = take_next(cursor, depthwise->output_zero_point);
  const bool fits = project && is_dense(project->convolution(), 1, 1) &&
                    is_read_as_bytes(cursor.result(), builder);
  if (!fits) return std::nullopt;
  const kernels::ByteMap map = byte_map(builder.shape(match.source));
  match.project = cursor.node();
  match.shape = {map.channels,
                 static_cast<int>(project->out_channels),
                 map.height,
                 map.width,
                 static_cast<int>(first.stride[0]),
                 static_cast<int>(depthwise->input_zero_point),
                 range_of(*depthwise),
                 range_of(*project)};
  match.ops = cursor.taken();
  return match;
}

std::optional<QuantizedPoolMatch> match_quantized_pool(const Cursor& at) {
  Cursor cursor = at;
  const auto* numbers = cursor.take<Dequantize>();
  if (!numbers || !quantized_kernels()) return std::nullopt;
  QuantizedPoolMatch match;
  match.source = at.builder().node(cursor.node()).inputs[0];
  if (!at.builder().value(at.builder().value_of(match.source)).layout.bytes) return std::nullopt;
  const NodeId numbers_node = cursor.result();
  if (!cursor.take<GlobalAvgPool>({numbers_node})) return std::nullopt;
  if (!is_only_needed_by(numbers_node, cursor.node(), at.builder())) return std::nullopt;
  match.numbers = *numbers;
  match.ops = cursor.taken();
  return match;
}

}  // namespace mobileone::fused
