#include "mobileone/backends/fused/patterns/quantized_match.hpp"

#include <algorithm>

#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

kernels::ByteRange range_of(const QuantizedConvolution& op) {
  return {static_cast<int>(op.output_zero_point), static_cast<int>(op.least())};
}

bool is_bytes(NodeId id, std::int64_t zero_point, const PlanBuilder& builder) {
  return builder.value(builder.value_of(id)).layout == byte_layout(zero_point);
}

// The next operator, where it reads what was taken last and nobody else does.
const QuantizedConvolution* take_next(Cursor& cursor, std::int64_t zero_point) {
  const auto* op = cursor.hands_over() ? cursor.take<QuantizedConvolution>() : nullptr;
  return op && op->input_zero_point == zero_point && !op->float_result ? op : nullptr;
}

}  // namespace

bool is_usual(double scale) { return scale >= 0x1p-80 && scale <= 0x1p80; }

bool is_read_as_bytes(NodeId id, const PlanBuilder& builder) {
  return std::ranges::all_of(builder.readers(id), [&](NodeId reader) {
    const Op& op = builder.node(reader).op;
    return std::holds_alternative<QuantizedConvolution>(op) ||
           std::holds_alternative<Dequantize>(op);
  });
}

bool is_only_needed_by(NodeId id, NodeId reader, const PlanBuilder& builder) {
  const std::vector<bool> needed = builder.network().graph.needed_for(builder.options().outputs);
  return !builder.is_output(id) && std::ranges::all_of(builder.readers(id), [&](NodeId other) {
    return other == reader || !needed[static_cast<std::size_t>(other)];
  });
}

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
  const bool fits = conv && is_usual(quantize->scale) && conv->in_channels == 3 &&
                    is_dense(conv->convolution(), 3, 2) &&
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

namespace {

bool is_depthwise(const QuantizedConvolution& op) {
  const Conv2d conv = op.convolution();
  const std::int64_t kernel = conv.kernel[0], stride = conv.stride[0];
  return conv.depthwise() && (kernel == 3 || kernel == 5) && stride <= 2 &&
         is_square(conv, kernel, stride) && !op.float_result;
}

// Depthwise and pointwise, or the former alone.
std::optional<QuantizedBlockMatch> take_depthwise(Cursor cursor) {
  QuantizedBlockMatch match;
  const auto* depthwise = cursor.take<QuantizedConvolution>();
  match.depthwise = cursor.node();
  match.shape.stride = static_cast<int>(depthwise->stride[0]);
  match.shape.kernel = static_cast<int>(depthwise->kernel[0]);
  match.shape.depthwise = range_of(*depthwise);
  match.shape.channels_out = static_cast<int>(depthwise->out_channels);
  match.shape.parts = kernels::BlockParts::kDepthwise;
  Cursor further = cursor;
  const auto* project = take_next(further, depthwise->output_zero_point);
  if (project && is_dense(project->convolution(), 1, 1)) {
    cursor = further;
    match.project = cursor.node();
    match.shape.project = range_of(*project);
    match.shape.channels_out = static_cast<int>(project->out_channels);
    match.shape.parts = kernels::BlockParts::kBoth;
  }
  match.ops = cursor.taken();
  return match;
}

std::optional<QuantizedBlockMatch> take_project(Cursor cursor) {
  QuantizedBlockMatch match;
  const auto* project = cursor.take<QuantizedConvolution>();
  if (!is_dense(project->convolution(), 1, 1) || project->float_result) return std::nullopt;
  match.project = cursor.node();
  match.shape.depthwise.zero_point = static_cast<int>(project->input_zero_point);
  match.shape.project = range_of(*project);
  match.shape.channels_out = static_cast<int>(project->out_channels);
  match.shape.parts = kernels::BlockParts::kProject;
  match.ops = cursor.taken();
  return match;
}

}  // namespace

bool runs_on_bytes(const QuantizedConvolution& op) {
  return is_depthwise(op) || (is_dense(op.convolution(), 1, 1) && !op.float_result);
}

std::optional<QuantizedBlockMatch> match_quantized_block(const Cursor& at) {
  const PlanBuilder& builder = at.builder();
  const auto* first = at.get<QuantizedConvolution>();
  if (!first || !quantized_kernels()) return std::nullopt;
  const NodeId source = at.inputs()[0];
  if (!is_bytes(source, first->input_zero_point, builder)) return std::nullopt;
  auto match = is_depthwise(*first) ? take_depthwise(at) : take_project(at);
  if (!match || !is_read_as_bytes(match->result(), builder)) return std::nullopt;
  const kernels::ByteMap map = byte_map(builder.shape(source));
  match->source = source;
  match->shape.channels_in = map.channels;
  match->shape.height = map.height;
  match->shape.width = map.width;
  match->shape.source_zero_point = static_cast<int>(first->input_zero_point);
  return match;
}

}  // namespace mobileone::fused
