// Finding the patterns that the fused kernels execute, among lowered operators.
#pragma once

#include <vector>

#include "mobileone/plan/builder.hpp"

namespace mobileone::fused {

// Takes the operators of a pattern one after the other. Copies are cheap: what may or may not
// follow is tried on one.
class Cursor {
 public:
  Cursor(const std::vector<LoweredOp>& ops, std::size_t at, const PlanBuilder& builder)
      : ops_(&ops), builder_(&builder), begin_(at), at_(at) {}

  const PlanBuilder& builder() const { return *builder_; }
  // The same place, nothing taken yet.
  Cursor here() const { return {*ops_, at_, *builder_}; }
  // The next operator, if it is a T; null otherwise.
  template <typename T>
  const T* get() const {
    return at_ < ops_->size() ? std::get_if<T>(&builder_->node((*ops_)[at_].node).op) : nullptr;
  }
  // What the next operator reads; there must be one.
  const std::vector<NodeId>& inputs() const { return builder_->node((*ops_)[at_].node).inputs; }

  // Takes the next operator, if it is a T (that reads exactly `inputs`); null otherwise.
  template <typename T>
  const T* take() {
    const T* op = get<T>();
    if (op != nullptr) ++at_;
    return op;
  }
  template <typename T>
  const T* take(const std::vector<NodeId>& inputs) {
    return get<T>() != nullptr && this->inputs() == inputs ? take<T>() : nullptr;
  }
  void skip(std::size_t count) { at_ += count; }
  // Takes the sum of `x` and something else, in either order, and returns the latter; else -1.
  NodeId take_sum(NodeId x);
  // Takes the sum of the last result, to which no activation belongs and which nobody else reads,
  // and another map, and returns the latter; else -1.
  NodeId take_residual();

  // Of the operator taken last: itself, its node, whose value it makes, its activation.
  const LoweredOp& last() const { return (*ops_)[at_ - 1]; }
  NodeId node() const { return last().node; }
  NodeId result() const { return last().result; }
  std::optional<ActivationKind> activation() const { return last().activation; }

  // Whether nobody but the operators that were taken reads what they made, except for the last.
  bool closed() const;
  // Whether the next operator alone reads the result of the last one, and reads it once.
  bool hands_over() const;

  std::size_t count() const { return at_ - begin_; }
  std::vector<const LoweredOp*> taken() const;

 private:
  const std::vector<LoweredOp>* ops_;
  const PlanBuilder* builder_;
  std::size_t begin_, at_;
};

// What every match consists of: the operators that it takes.
struct Match {
  std::vector<const LoweredOp*> ops;
  NodeId result() const { return ops.back()->result; }
};

// Square kernel and strides, half a kernel of padding, no dilation.
bool is_conv(const Conv2d& op, std::int64_t kernel);
bool is_square(const Conv2d& op, std::int64_t kernel, std::int64_t stride);
// A square kernel that keeps the size at stride 1, with the same dilation both ways.
bool is_dilated(const Conv2d& op, std::int64_t kernel);
// The same as is_square, not grouped.
bool is_dense(const Conv2d& op, std::int64_t kernel, std::int64_t stride);

// Squeeze-and-excitation (Hu et al. 2018): x times gate(expand(activation(reduce(pool(x))))).
struct SqueezeMatch {
  NodeId reduce = -1, expand = -1;  // 1x1 convolutions
  std::int64_t channels = 0, reduced = 0;
  std::optional<ActivationKind> activation;
  std::optional<ActivationKind> gate;
};
// Takes one of `scaled`, whoever else reads that.
std::optional<SqueezeMatch> take_squeeze_of(NodeId scaled, Cursor& cursor);
// Takes one on the result of what was taken last, which nobody else reads.
std::optional<SqueezeMatch> take_squeeze(Cursor& cursor);

}  // namespace mobileone::fused
