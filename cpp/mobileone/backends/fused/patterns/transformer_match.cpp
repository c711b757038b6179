#include "mobileone/backends/fused/patterns/transformer_match.hpp"

namespace mobileone::fused {

namespace {

// Takes the next operator, if it is a T that reads exactly `inputs` and has this activation.
template <typename T>
const T* take(Cursor& cursor, const std::vector<NodeId>& inputs,
              std::optional<ActivationKind> activation = std::nullopt) {
  Cursor next = cursor;
  const T* op = next.take<T>(inputs);
  if (!op || next.activation() != activation) return nullptr;
  cursor = next;
  return op;
}

// x += proj(attention(norm x)); x += fc2(silu(fc1(norm x))). Sizes must be those of the first.
class LayerMatcher {
 public:
  LayerMatcher(Cursor& cursor, TransformerMatch& match) : cursor_(cursor), match_(match) {}

  bool take_layer(NodeId& x) {
    TransformerLayerMatch layer;
    if (!attention(x, layer) || !feed_forward(x, layer)) return false;
    match_.layers.push_back(layer);
    return true;
  }
  bool norm(NodeId input, NodeId& node) {
    const auto* op = take<LayerNorm>(cursor_, {input});
    if (!op || op->channels != match_.features) return false;
    if (match_.eps == 0.0) match_.eps = op->eps;
    node = cursor_.node();
    return op->eps == match_.eps;
  }

 private:
  bool linear(std::int64_t in, std::int64_t out, NodeId& node) {
    const auto* op = take<Linear>(cursor_, {cursor_.result()});
    if (!op || op->in_features != in || op->out_features != out) return false;
    node = cursor_.node();
    return true;
  }
  bool attention(NodeId& x, TransformerLayerMatch& layer) {
    const std::int64_t d = match_.features;
    if (!norm(x, layer.norm1) || !linear(d, 3 * d, layer.qkv)) return false;
    match_.pass_begin.push_back(cursor_.count());
    const auto* op = take<Attention>(cursor_, {cursor_.result()});
    if (!op) return false;
    layer.attention = cursor_.node();
    if (match_.layers.empty()) match_.heads = op->heads;
    match_.pass_begin.push_back(cursor_.count());
    return op->heads == match_.heads && linear(d, d, layer.proj) && sum(x);
  }
  bool feed_forward(NodeId& x, TransformerLayerMatch& layer) {
    if (!norm(x, layer.norm2)) return false;
    const auto* op = take<Linear>(cursor_, {cursor_.result()}, ActivationKind::silu);
    if (!op) return false;
    layer.fc1 = cursor_.node();
    if (match_.layers.empty()) match_.hidden = op->out_features;
    return op->in_features == match_.features && op->out_features == match_.hidden &&
           linear(match_.hidden, match_.features, layer.fc2) && sum(x);
  }
  bool sum(NodeId& x) {
    if (cursor_.take_sum(cursor_.result()) != x || cursor_.activation()) return false;
    x = cursor_.result();
    return true;
  }

  Cursor& cursor_;
  TransformerMatch& match_;
};

// Takes transformers and the layer norm after the last one.
bool take_transformers(Cursor& cursor, TransformerMatch& match) {
  NodeId x = cursor.result();
  LayerMatcher layers(cursor, match);
  do {
    if (!layers.take_layer(x)) return false;
    const Cursor after = cursor;
    if (!layers.norm(x, match.norm)) return false;
    if (cursor.get<Fold>()) return true;
    cursor = after;  // the norm belongs to the next transformer
  } while (true);
}

}  // namespace

std::optional<TransformerMatch> match_transformer(const Cursor& at) {
  Cursor cursor = at;
  TransformerMatch match;
  match.source = cursor.inputs()[0];
  match.pass_begin.push_back(0);
  const auto* enter = take<Conv2d>(cursor, {match.source});
  if (!enter || !is_dense(*enter, 1, 1)) return std::nullopt;
  match.features = enter->out_channels;
  const NodeId local = match.enter = cursor.node();
  const auto* resize = take<Resize>(cursor, {local});
  const NodeId map = cursor.result();
  const auto* unfold = take<Unfold>(cursor, {map});
  if (!resize || resize->scale != Extent{1, 1}) return std::nullopt;
  if (!unfold || unfold->patch != resize->multiple) return std::nullopt;
  match.patch = unfold->patch;

  if (!take_transformers(cursor, match)) return std::nullopt;
  const auto* fold = take<Fold>(cursor, {cursor.result(), map});
  if (!fold || fold->patch != match.patch) return std::nullopt;
  if (!take<Resize>(cursor, {cursor.result(), local})) return std::nullopt;
  const auto* leave = take<Conv2d>(cursor, {cursor.result()}, ActivationKind::silu);
  if (!leave || !is_dense(*leave, 1, 1) || !cursor.closed()) return std::nullopt;
  match.leave = cursor.node();
  match.ops = cursor.taken();
  match.pass_begin.push_back(cursor.count());
  return match;
}

}  // namespace mobileone::fused
