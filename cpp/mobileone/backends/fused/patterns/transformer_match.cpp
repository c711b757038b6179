#include "mobileone/backends/fused/patterns/transformer_match.hpp"

#include <set>

namespace mobileone::fused {

namespace {

// Walks over the operators in the order in which the pattern wants them; the first that does not
// fit ends it.
class Walk {
 public:
  Walk(const std::vector<LoweredOp>& ops, std::size_t at, const PlanBuilder& builder)
      : ops_(ops), at_(at), begin_(at), builder_(builder) {}

  // The next operator, if it is a T that reads exactly `inputs` and has this activation.
  template <typename T>
  const T* take(const std::vector<NodeId>& inputs,
                std::optional<ActivationKind> activation = std::nullopt) {
    if (at_ >= ops_.size()) return nullptr;
    const Node& node = builder_.node(ops_[at_].node);
    const T* op = std::get_if<T>(&node.op);
    if (!op || node.inputs != inputs || ops_[at_].activation != activation) return nullptr;
    ++at_;
    return op;
  }
  template <typename T>
  bool next_is() const {
    return at_ < ops_.size() && std::holds_alternative<T>(builder_.node(ops_[at_].node).op);
  }

  void step_back() { --at_; }

  NodeId node() const { return ops_[at_ - 1].node; }
  NodeId result() const { return ops_[at_ - 1].result; }
  std::size_t at() const { return at_; }

  // Whether nobody but the operators that were taken reads what they made, except for the last.
  bool closed() const {
    std::set<NodeId> taken;
    for (std::size_t i = begin_; i < at_; ++i) taken.insert({ops_[i].node, ops_[i].result});
    for (std::size_t i = begin_; i < at_; ++i) {
      for (NodeId id : {ops_[i].node, ops_[i].result}) {
        if (id == result()) continue;
        if (builder_.is_output(id)) return false;
        for (NodeId reader : builder_.readers(id)) {
          if (!taken.count(reader)) return false;
        }
      }
    }
    return true;
  }

 private:
  const std::vector<LoweredOp>& ops_;
  std::size_t at_, begin_;
  const PlanBuilder& builder_;
};

bool is_pointwise(const Conv2d* conv) {
  return conv && conv->kernel == Extent{1, 1} && conv->stride == Extent{1, 1} &&
         conv->padding == Extent{0, 0} && conv->groups == 1;
}

// x += proj(attention(norm x)); x += fc2(silu(fc1(norm x))). Sizes must be those of the first.
class LayerWalk {
 public:
  LayerWalk(Walk& walk, TransformerMatch& match) : walk_(walk), match_(match) {}

  bool take(NodeId& x) {
    TransformerLayerMatch layer;
    if (!attention(x, layer) || !feed_forward(x, layer)) return false;
    match_.layers.push_back(layer);
    return true;
  }
  bool norm(NodeId input, NodeId& node) {
    const auto* op = walk_.take<LayerNorm>({input});
    if (!op || op->channels != match_.features) return false;
    if (match_.eps == 0.0) match_.eps = op->eps;
    node = walk_.node();
    return op->eps == match_.eps;
  }

 private:
  bool linear(std::int64_t in, std::int64_t out, std::optional<ActivationKind> activation,
              NodeId& node) {
    const auto* op = walk_.take<Linear>({walk_.result()}, activation);
    if (!op || op->in_features != in || op->out_features != out) return false;
    node = walk_.node();
    return true;
  }
  bool attention(NodeId& x, TransformerLayerMatch& layer) {
    const std::int64_t d = match_.features;
    if (!norm(x, layer.norm1) || !linear(d, 3 * d, {}, layer.qkv)) return false;
    match_.pass_begin.push_back(walk_.at());
    const auto* op = walk_.take<Attention>({walk_.result()});
    if (!op) return false;
    layer.attention = walk_.node();
    if (match_.layers.empty()) match_.heads = op->heads;
    match_.pass_begin.push_back(walk_.at());
    return op->heads == match_.heads && linear(d, d, {}, layer.proj) && sum(x);
  }
  bool feed_forward(NodeId& x, TransformerLayerMatch& layer) {
    if (!norm(x, layer.norm2)) return false;
    const auto* op = walk_.take<Linear>({walk_.result()}, ActivationKind::silu);
    if (!op) return false;
    layer.fc1 = walk_.node();
    if (match_.layers.empty()) match_.hidden = op->out_features;
    return op->in_features == match_.features && op->out_features == match_.hidden &&
           linear(match_.hidden, match_.features, {}, layer.fc2) && sum(x);
  }
  bool sum(NodeId& x) {
    const NodeId addend = walk_.result();
    if (!walk_.take<Add>({x, addend}) && !walk_.take<Add>({addend, x})) return false;
    x = walk_.result();
    return true;
  }

  Walk& walk_;
  TransformerMatch& match_;
};

}  // namespace

std::optional<TransformerMatch> match_transformer(const std::vector<LoweredOp>& ops, std::size_t at,
                                                  const PlanBuilder& builder) {
  const auto& sources = builder.node(ops[at].node).inputs;
  if (sources.size() != 1) return std::nullopt;
  TransformerMatch match;
  match.source = sources[0];
  match.pass_begin.push_back(at);
  Walk walk(ops, at, builder);
  const auto* enter = walk.take<Conv2d>({match.source});
  if (!is_pointwise(enter)) return std::nullopt;
  match.features = enter->out_channels;
  const NodeId local = match.enter = walk.node();
  const auto* resize = walk.take<Resize>({local});
  const NodeId map = walk.result();
  const auto* unfold = walk.take<Unfold>({map});
  if (!resize || !unfold || unfold->patch != resize->multiple) return std::nullopt;
  match.patch = unfold->patch;

  NodeId x = walk.result();
  LayerWalk layers(walk, match);
  do {
    if (!layers.take(x)) return std::nullopt;
    if (!layers.norm(x, match.norm)) return std::nullopt;
    if (walk.next_is<Fold>()) break;
    walk.step_back();
  } while (true);
  const auto* fold = walk.take<Fold>({walk.result(), map});
  if (!fold || fold->patch != match.patch) return std::nullopt;
  if (!walk.take<Resize>({walk.result(), local})) return std::nullopt;
  const auto* leave = walk.take<Conv2d>({walk.result()}, ActivationKind::silu);
  if (!is_pointwise(leave) || !walk.closed()) return std::nullopt;
  match.leave = walk.node();
  match.result = walk.result();
  match.taken = walk.at() - at;
  match.pass_begin.push_back(walk.at());
  return match;
}

}  // namespace mobileone::fused
