// Arena: values alive at the same time never overlap, others share memory.
#include "mobileone/plan/arena.hpp"

#include <gtest/gtest.h>

#include <random>

namespace mobileone {
namespace {

Value floats(std::int64_t count) { return {{1, count, 1, 1}, Layout::nchw()}; }

bool disjoint(const Value& a, const Value& b) {
  return a.offset + a.bytes() <= b.offset || b.offset + b.bytes() <= a.offset;
}

TEST(Arena, PingPongNeedsTwoBuffers) {
  std::vector<Value> values(4, floats(16));
  const std::vector<Lifetime> lifetimes{{0, 1}, {1, 2}, {2, 3}, {3, 4}};
  EXPECT_EQ(assign_offsets(values, lifetimes), 2u * 64);
}

TEST(Arena, TheCallersMemoryTakesNoRoom) {
  std::vector<Value> values(2, floats(16));
  values[0].storage = Storage::input;
  const std::vector<Lifetime> lifetimes{{0, 1}, {0, 1}};
  EXPECT_EQ(assign_offsets(values, lifetimes), 64u);
}

TEST(Arena, RandomLifetimesNeverCollide) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Value> values;
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 12; ++i) {
      values.push_back(floats(1 + static_cast<std::int64_t>(random() % 100)));
      const int first = static_cast<int>(random() % 10);
      lifetimes.push_back({first, first + static_cast<int>(random() % 5)});
    }
    const std::size_t size = assign_offsets(values, lifetimes);
    for (std::size_t a = 0; a < values.size(); ++a) {
      EXPECT_LE(values[a].offset + values[a].bytes(), size);
      EXPECT_EQ(values[a].offset % 64, 0u);
      for (std::size_t b = 0; b < a; ++b) {
        const bool together =
            lifetimes[a].first <= lifetimes[b].last && lifetimes[b].first <= lifetimes[a].last;
        EXPECT_TRUE(!together || disjoint(values[a], values[b])) << trial;
      }
    }
  }
}

}  // namespace
}  // namespace mobileone
