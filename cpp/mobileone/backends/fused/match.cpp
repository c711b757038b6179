#include "mobileone/backends/fused/match.hpp"

#include <algorithm>

namespace mobileone::fused {

NodeId Cursor::take_sum(NodeId x) {
  if (get<Add>() == nullptr || inputs().size() != 2) return -1;
  const NodeId first = inputs()[0], second = inputs()[1];
  if ((first == x) == (second == x)) return -1;
  ++at_;
  return first == x ? second : first;
}

NodeId Cursor::take_residual() { return !activation() && hands_over() ? take_sum(result()) : -1; }

bool Cursor::closed() const {
  const auto first = ops_->begin() + static_cast<std::ptrdiff_t>(begin_);
  const auto end = ops_->begin() + static_cast<std::ptrdiff_t>(at_);
  const auto took = [&](NodeId id) {
    return std::any_of(first, end,
                       [&](const LoweredOp& op) { return op.node == id || op.result == id; });
  };
  return std::all_of(first, end, [&](const LoweredOp& op) {
    return std::ranges::all_of(std::array{op.node, op.result}, [&](NodeId id) {
      return id == result() ||
             (!builder_->is_output(id) && std::ranges::all_of(builder_->readers(id), took));
    });
  });
}

bool Cursor::hands_over() const {
  return at_ < ops_->size() && builder_->readers(result()).size() == 1 &&
         !builder_->is_output(result()) &&
         std::count(inputs().begin(), inputs().end(), result()) == 1;
}

std::vector<const LoweredOp*> Cursor::taken() const {
  std::vector<const LoweredOp*> ops;
  for (std::size_t i = begin_; i < at_; ++i) ops.push_back(&(*ops_)[i]);
  return ops;
}

bool is_dilated(const Conv2d& op, std::int64_t kernel) {
  const std::int64_t dilation = op.dilation[0], reach = kernel / 2 * dilation;
  return op.kernel == Extent{kernel, kernel} && op.padding == Extent{reach, reach} &&
         op.dilation == Extent{dilation, dilation} && op.stride[0] == op.stride[1];
}

bool is_conv(const Conv2d& op, std::int64_t kernel) {
  return op.dilation[0] == 1 && is_dilated(op, kernel);
}

bool is_square(const Conv2d& op, std::int64_t kernel, std::int64_t stride) {
  return is_conv(op, kernel) && op.stride[0] == stride;
}

bool is_dense(const Conv2d& op, std::int64_t kernel, std::int64_t stride) {
  return op.groups == 1 && is_square(op, kernel, stride);
}

std::optional<SqueezeMatch> take_squeeze_of(NodeId scaled, Cursor& cursor) {
  SqueezeMatch match;
  Cursor next = cursor;
  if (!next.take<GlobalAvgPool>({scaled})) return std::nullopt;
  const auto* reduce = next.hands_over() ? next.take<Conv2d>() : nullptr;
  if (!reduce || !is_dense(*reduce, 1, 1)) return std::nullopt;
  match.reduce = next.node();
  match.activation = next.activation();
  match.channels = reduce->in_channels;
  match.reduced = reduce->out_channels;
  const auto* expand = next.hands_over() ? next.take<Conv2d>() : nullptr;
  if (!expand || !is_dense(*expand, 1, 1)) return std::nullopt;
  match.expand = next.node();
  match.gate = next.activation();
  if (!next.hands_over() || !next.take<Multiply>({scaled, next.result()})) return std::nullopt;
  cursor = next;
  return match;
}

std::optional<SqueezeMatch> take_squeeze(Cursor& cursor) {
  const NodeId scaled = cursor.result();
  const PlanBuilder& builder = cursor.builder();
  if (builder.readers(scaled).size() != 2 || builder.is_output(scaled)) return std::nullopt;
  return take_squeeze_of(scaled, cursor);
}

}  // namespace mobileone::fused
