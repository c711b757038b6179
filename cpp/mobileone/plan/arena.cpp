#include "mobileone/plan/arena.hpp"

#include <algorithm>
#include <numeric>

namespace mobileone {

namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

std::size_t assign_offsets(std::vector<Value>& values, const std::vector<Lifetime>& lifetimes) {
  std::vector<std::size_t> order;
  for (std::size_t id = 0; id < values.size(); ++id) {
    if (values[id].storage == Storage::arena && lifetimes[id].first >= 0) order.push_back(id);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return values[a].bytes() > values[b].bytes();
  });

  std::size_t arena = 0;
  std::vector<std::size_t> placed;
  for (std::size_t id : order) {
    std::vector<std::size_t> neighbours;
    for (std::size_t other : placed) {
      if (overlap(lifetimes[id], lifetimes[other])) neighbours.push_back(other);
    }
    std::sort(neighbours.begin(), neighbours.end(),
              [&](std::size_t a, std::size_t b) { return values[a].offset < values[b].offset; });
    std::size_t offset = 0;
    for (std::size_t other : neighbours) {
      if (offset + values[id].bytes() <= values[other].offset) break;
      offset = std::max(offset, aligned(values[other].offset + values[other].bytes()));
    }
    values[id].offset = offset;
    arena = std::max(arena, offset + aligned(values[id].bytes()));
    placed.push_back(id);
  }
  return arena;
}

void keep_borders(std::vector<Value>& values, const std::vector<Lifetime>& lifetimes) {
  const auto in_arena = [&](std::size_t id) {
    return values[id].storage == Storage::arena && lifetimes[id].first >= 0;
  };
  const auto share_memory = [&](const Value& a, const Value& b) {
    return a.offset < b.offset + b.bytes() && b.offset < a.offset + a.bytes();
  };
  const int steps =
      1 + std::accumulate(lifetimes.begin(), lifetimes.end(), 0,
                          [](int last, const Lifetime& l) { return std::max(last, l.first); });
  for (std::size_t id = 0; id < values.size(); ++id) {
    Value& value = values[id];
    if (value.layout.border == 0 || value.layout.border_value != 0 || !in_arena(id)) continue;
    // Steps back to the latest writer; the value itself was written a whole run ago.
    int latest = steps;
    bool same = true;
    for (std::size_t other = 0; other < values.size(); ++other) {
      if (other == id || !in_arena(other) || !share_memory(value, values[other])) continue;
      const int back = (lifetimes[id].first - lifetimes[other].first + steps) % steps;
      if (back > latest) continue;
      const bool alike = values[other].offset == value.offset &&
                         values[other].shape == value.shape && values[other].layout == value.layout;
      same = alike && (back < latest || same);
      latest = back;
    }
    value.border_kept = same;
  }
}

}  // namespace mobileone
