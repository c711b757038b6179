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

Value bordered(std::int64_t channels, std::int64_t size) {
  return {{1, channels, size, size}, Layout::blocked(16, 1)};
}

TEST(Arena, APingPongKeepsItsBorders) {
  // A stage of four maps of one shape, between two of another.
  std::vector<Value> values{bordered(16, 6), bordered(32, 4), bordered(32, 4),
                            bordered(32, 4), bordered(32, 4), bordered(16, 6)};
  const std::vector<Lifetime> lifetimes{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}};
  assign_offsets(values, lifetimes);
  keep_borders(values, lifetimes);
  EXPECT_TRUE(values[3].border_kept);
  EXPECT_TRUE(values[4].border_kept);
  EXPECT_EQ(values[0].border_kept, values[5].border_kept);
}

// Plays runs on real memory: every value zeroes its border unless it is kept, and dirties the rest.
TEST(Arena, KeptBordersAreZeroInEveryRun) {
  std::mt19937 random(11);
  int kept = 0;
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<Value> values;
    std::vector<Lifetime> lifetimes;
    for (int step = 0; step < 10; ++step) {
      const auto size = static_cast<std::int64_t>(2 + random() % 2);
      values.push_back(random() % 4 == 0 ? floats(1 + static_cast<std::int64_t>(random() % 400))
                                         : bordered(16, size));
      lifetimes.push_back({step, step + 1 + static_cast<int>(random() % 2)});
    }
    std::vector<float> arena(assign_offsets(values, lifetimes) / sizeof(float), 0.0f);
    keep_borders(values, lifetimes);
    for (int run = 0; run < 3; ++run) {
      for (const Value& value : values) {
        float* data = arena.data() + value.offset / sizeof(float);
        const auto width = value.shape[3] + 2 * value.layout.border;
        kept += value.border_kept;
        for (std::size_t i = 0; i < value.bytes() / sizeof(float); ++i) {
          const auto pixel = static_cast<std::int64_t>(i) / 16;
          const auto x = pixel % width, y = pixel / width;
          const bool border =
              value.layout.border == 1 && (x == 0 || y == 0 || x == width - 1 || y == width - 1);
          if (!border) {
            data[i] = 1.0f;
          } else if (!value.border_kept) {
            data[i] = 0.0f;
          } else {
            ASSERT_EQ(data[i], 0.0f) << "trial " << trial << ", run " << run;
          }
        }
      }
    }
  }
  EXPECT_GT(kept, 100);
}

}  // namespace
}  // namespace mobileone
