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

}  // namespace mobileone
