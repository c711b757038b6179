#include "mobileone/backends/fused/patterns/channels_match.hpp"

#include <algorithm>

#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

namespace {

// A tensor of images [N, ...axes, ...pixels] whose axes hold channels of maps; of a map they are
// one axis.
struct Moved {
  Shape axes;
  std::vector<NodeChannel> channels;  // row-major in the axes
};

std::int64_t product(const Shape& shape, std::size_t begin, std::size_t end) {
  std::int64_t result = 1;
  for (std::size_t i = begin; i < end; ++i) result *= shape[i];
  return result;
}

class ChannelsMatcher {
 public:
  explicit ChannelsMatcher(const Cursor& cursor) : cursor_(cursor), builder_(cursor.builder()) {}

  std::optional<ChannelsMatch> match() {
    std::vector<NodeId> nodes;
    while (take()) nodes.push_back(cursor_.node());
    // Without the last ones where somebody else reads what is no map.
    for (std::size_t count = nodes.size(); count > 0; --count) {
      nodes.resize(count);
      if (auto found = made_by(nodes)) {
        std::vector<const LoweredOp*> ops = cursor_.taken();
        ops.resize(count);
        found->ops = std::move(ops);
        return found;
      }
    }
    return std::nullopt;
  }

 private:
  bool take() {
    Moved moved;
    Cursor next = cursor_;
    if (next.get<Concat>()) {
      if (!concat(next, moved)) return false;
    } else if (const auto* slice = next.get<Slice>()) {
      if (!sliced(*slice, next.inputs()[0], moved)) return false;
    } else if (next.get<Reshape>()) {
      if (!reshaped(next.inputs()[0], builder_.shape(node_at(next)), moved)) return false;
    } else if (const auto* transpose = next.get<Transpose>()) {
      if (!transposed(transpose->perm, next.inputs()[0], moved)) return false;
    } else {
      return false;
    }
    next.skip(1);
    moved_.emplace(next.node(), std::move(moved));
    cursor_ = next;
    return true;
  }

  // Where a tensor's channels come from; null if it is neither a map nor made of maps' channels.
  const Moved* find(NodeId id) {
    if (const auto known = moved_.find(id); known != moved_.end()) return &known->second;
    const Shape& shape = builder_.shape(id);
    if (shape.size() != 4 || !is_map(id, builder_) || builder_.factor_of(id) >= 0) return nullptr;
    return &add_source(id);
  }
  const Moved& add_source(NodeId id) {
    const std::int64_t channels = builder_.shape(id)[1];
    Moved source{{channels}, {}};
    for (int c = 0; c < channels; ++c) source.channels.emplace_back(id, c);
    return moved_.emplace(id, std::move(source)).first->second;
  }
  // Few channels that are no map become one to be joined with many that are.
  const Moved* find_few(NodeId id, std::int64_t all) {
    const Shape& shape = builder_.shape(id);
    if (shape.size() != 4 || 4 * shape[1] > all || builder_.factor_of(id) >= 0 ||
        builder_.value(builder_.value_of(id)).dtype != DType::float32) {
      return nullptr;
    }
    return &add_source(id);
  }
  bool is_made_map(NodeId id) const {
    return builder_.shape(id).size() == 4 && moved_.at(id).axes.size() == 1;
  }

  bool concat(const Cursor& at, Moved& moved) {
    if (std::get<Concat>(builder_.node(node_at(at)).op).axis != 1) return false;
    moved.axes = {0};
    const std::int64_t all = builder_.shape(node_at(at))[1];
    for (NodeId input : at.inputs()) {
      const Moved* part = find(input);
      if (part == nullptr) part = find_few(input, all);
      if (part == nullptr || !is_made_map(input)) return false;
      moved.axes[0] += part->axes[0];
      moved.channels.insert(moved.channels.end(), part->channels.begin(), part->channels.end());
    }
    return true;
  }
  bool sliced(const Slice& slice, NodeId input, Moved& moved) {
    const Moved* part = slice.axis == 1 ? find(input) : nullptr;
    if (part == nullptr || !is_made_map(input)) return false;
    for (std::int64_t c = slice.start; c < std::min(slice.end, part->axes[0]); c += slice.step) {
      moved.channels.push_back(part->channels[static_cast<std::size_t>(c)]);
    }
    moved.axes = {static_cast<std::int64_t>(moved.channels.size())};
    return true;
  }
  // Axes of channels stay apart from those of pixels.
  bool reshaped(NodeId input, const Shape& to, Moved& moved) {
    const Moved* part = find(input);
    const Shape& from = builder_.shape(input);
    if (part == nullptr || to.empty() || to[0] != from[0]) return false;
    const auto channels = static_cast<std::int64_t>(part->channels.size());
    std::size_t end = 1;
    while (end < to.size() && product(to, 1, end) != channels) ++end;
    if (end == 1 || end >= to.size() || product(to, 1, end) != channels) return false;
    moved.axes.assign(to.begin() + 1, to.begin() + static_cast<std::ptrdiff_t>(end));
    moved.channels = part->channels;
    return true;
  }
  bool transposed(const Integers& perm, NodeId input, Moved& moved) {
    const Moved* part = find(input);
    if (part == nullptr) return false;
    const std::size_t count = part->axes.size();
    for (std::size_t i = 0; i < perm.size(); ++i) {
      const bool channels = i >= 1 && i <= count;
      if (channels != (perm[i] >= 1 && perm[i] <= static_cast<std::int64_t>(count))) return false;
      if (!channels && perm[i] != static_cast<std::int64_t>(i)) return false;
    }
    for (std::size_t i = 0; i < count; ++i) {
      moved.axes.push_back(part->axes[static_cast<std::size_t>(perm[i + 1] - 1)]);
    }
    // Places of the result one after the other, each with its place in the input.
    moved.channels.reserve(part->channels.size());
    for (std::size_t place = 0; place < part->channels.size(); ++place) {
      auto rest = static_cast<std::int64_t>(place);
      std::vector<std::int64_t> index(count);
      for (std::size_t i = count; i-- > 0;) {
        index[static_cast<std::size_t>(perm[i + 1] - 1)] = rest % moved.axes[i];
        rest /= moved.axes[i];
      }
      std::int64_t from = 0;
      for (std::size_t i = 0; i < count; ++i) from = from * part->axes[i] + index[i];
      moved.channels.push_back(part->channels[static_cast<std::size_t>(from)]);
    }
    return true;
  }

  static NodeId node_at(Cursor at) {
    at.skip(1);
    return at.node();
  }

  // The results of these operators that others read; nothing if one of them is no map.
  std::optional<ChannelsMatch> made_by(const std::vector<NodeId>& nodes) const {
    ChannelsMatch match;
    for (NodeId id : nodes) {
      const auto& readers = builder_.readers(id);
      const bool inside = std::ranges::all_of(
          readers, [&](NodeId reader) { return std::ranges::count(nodes, reader) > 0; });
      if (inside && !builder_.is_output(id)) continue;
      if (!is_made_map(id)) return std::nullopt;
      const Shape& shape = builder_.shape(id);
      const std::vector<NodeChannel>& channels = moved_.at(id).channels;
      const Shape& source = builder_.shape(channels.front().first);
      if (shape[2] != source[2] || shape[3] != source[3]) return std::nullopt;
      if (sources_of(channels).size() > kMaxChannelMaps) return std::nullopt;
      match.made.emplace(id, channels);
    }
    return match;
  }

  Cursor cursor_;
  const PlanBuilder& builder_;
  std::map<NodeId, Moved> moved_;
};

}  // namespace

std::vector<NodeId> sources_of(const std::vector<NodeChannel>& channels) {
  std::vector<NodeId> sources;
  for (const auto& [node, channel] : channels) {
    if (std::ranges::count(sources, node) == 0) sources.push_back(node);
  }
  return sources;
}

std::optional<ChannelsMatch> match_channels(const Cursor& at) {
  return ChannelsMatcher(at.here()).match();
}

}  // namespace mobileone::fused
