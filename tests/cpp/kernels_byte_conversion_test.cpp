// Integers from and to float32 numbers, and tables of them, against the formulas element by
// element.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "mobileone/kernels/byte_conversion.hpp"

namespace mobileone::kernels {
namespace {

// Channels that fill blocks and such that do not, rows shorter and longer than vectors.
const ByteMap kMaps[] = {{1, 1, 1}, {16, 3, 5}, {24, 4, 7}, {40, 2, 33}, {64, 5, 8}};

template <typename Check>
void for_pixels(const ByteMap& map, const Check& check) {
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        check(static_cast<std::size_t>(map.offset(c / kBlock, y, x) + c % kBlock));
      }
    }
  }
}

std::vector<std::uint8_t> random_bytes(const ByteMap& map) {
  std::mt19937 random(3);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(map.num_bytes()));
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

// In two parts, as two threads would.
template <typename Run>
void run_rows(const ByteMap& map, const Run& run) {
  const int rows = map.blocks() * map.height;
  run(0, rows / 2);
  run(rows / 2, rows);
}

TEST(KernelsByteConversion, NumbersOfBytes) {
  for (const ByteMap& map : kMaps) {
    const auto bytes = random_bytes(map);
    for (const ByteMeaning meaning : {ByteMeaning{0.037f, 0}, {1e-20f, 131}, {3.f, 255}}) {
      std::vector<float> found(bytes.size(), -7.f);
      run_rows(map, [&](int begin, int end) {
        bytes_to_floats(map, meaning, bytes.data(), found.data(), begin, end);
      });
      std::size_t interior = 0;
      for_pixels(map, [&](std::size_t at) {
        ++interior;
        EXPECT_EQ(found[at], static_cast<float>(bytes[at] - meaning.zero_point) * meaning.scale);
        found[at] = 1.f;
      });
      std::size_t zeros = 0, kept = 0;  // channels that pad a block; the border
      for (float value : found) {
        zeros += value == 0.f;
        kept += value == -7.f;
      }
      EXPECT_EQ(interior + zeros, std::size_t(map.blocks() * kBlock * map.height * map.width));
      EXPECT_EQ(interior + zeros + kept, found.size());
    }
  }
}

TEST(KernelsByteConversion, BytesOfNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {infinity, -infinity, std::nanf(""), 0.f, -0.f, 1e-45f, 3e38f, -3e38f};
  for (const ByteMap& map : kMaps) {
    for (const ByteMeaning meaning : {ByteMeaning{0.25f, 0}, {0.037f, 131}, {1e-30f, 255}}) {
      std::mt19937 random(5);
      std::vector<float> numbers(static_cast<std::size_t>(map.num_bytes()));
      for (float& number : numbers) {
        // Halves of a quarter are ties.
        const float steps = static_cast<float>(static_cast<int>(random() % 1200) - 600) / 2.f;
        number = random() % 9 == 0 ? special[random() % 8] : steps * meaning.scale;
      }
      std::vector<std::uint8_t> found(numbers.size(), 77);
      run_rows(map, [&](int begin, int end) {
        floats_to_bytes(map, meaning, numbers.data(), found.data(), begin, end);
      });
      for_pixels(map, [&](std::size_t at) {
        const double quotient = static_cast<double>(numbers[at] / meaning.scale);
        const double rounded = std::isnan(quotient) ? 0.0 : std::nearbyint(quotient);
        EXPECT_EQ(double(found[at]), std::clamp(rounded + meaning.zero_point, 0.0, 255.0))
            << numbers[at];
      });
      EXPECT_EQ(found.front(), 77);  // the border is the caller's
      EXPECT_EQ(found.back(), 77);
    }
  }
}

// Tokens: the same numbers, of a map of one row.
TEST(KernelsByteConversion, Tokens) {
  for (const ByteMap& map : {ByteMap{1, 1, 1}, {16, 1, 5}, {24, 1, 7}, {40, 1, 33}, {64, 1, 8}}) {
    const ByteMeaning meaning{0.037f, 131};
    const auto bytes = random_bytes(map);
    const auto wide = static_cast<std::size_t>(map.channels);
    std::vector<float> numbers(bytes.size()), tokens(wide * std::size_t(map.width) + 1, 9.f);
    run_rows(map, [&](int begin, int end) {
      bytes_to_floats(map, meaning, bytes.data(), numbers.data(), begin, end);
      bytes_to_tokens(map, meaning, bytes.data(), tokens.data(), begin, end);
    });
    EXPECT_EQ(tokens.back(), 9.f);
    const auto token_of = [&](int c, int x) -> float& {
      return tokens[std::size_t(x) * wide + std::size_t(c)];
    };
    std::mt19937 random(4);
    for (int c = 0; c < map.channels; ++c) {
      for (int x = 0; x < map.width; ++x) {
        const auto at = std::size_t(map.offset(c / kBlock, 0, x) + c % kBlock);
        EXPECT_EQ(token_of(c, x), numbers[at]);
        // Others, ties and some out of range among them.
        token_of(c, x) = static_cast<float>(static_cast<int>(random() % 1200) - 600) * 0.037f / 2.f;
        numbers[at] = token_of(c, x);
      }
    }
    std::vector<std::uint8_t> expected(bytes.size(), 77), found(bytes.size(), 77);
    run_rows(map, [&](int begin, int end) {
      floats_to_bytes(map, meaning, numbers.data(), expected.data(), begin, end);
      tokens_to_bytes(map, meaning, tokens.data(), found.data(), begin, end);
    });
    for_pixels(map, [&](std::size_t at) { EXPECT_EQ(found[at], expected[at]); });
    EXPECT_EQ(found.front(), 77);
    EXPECT_EQ(found.back(), 77);
  }
}

TEST(KernelsByteConversion, Tables) {
  ByteTable table;
  for (int q = 0; q < 256; ++q) {
    table[std::size_t(q)] = static_cast<std::uint8_t>((q * 89 + 13) % 256);
  }
  for (const ByteMap& map : kMaps) {
    const auto bytes = random_bytes(map);
    std::vector<std::uint8_t> found(bytes.size(), 77);
    run_rows(map, [&](int begin, int end) {
      look_up_bytes(map, table, bytes.data(), found.data(), begin, end);
    });
    for_pixels(map, [&](std::size_t at) { EXPECT_EQ(found[at], table[bytes[at]]); });
    EXPECT_EQ(found.front(), 77);
    EXPECT_EQ(found.back(), 77);
  }
}

}  // namespace
}  // namespace mobileone::kernels
