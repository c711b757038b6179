// Buffers and seeded data for the kernel tests, which run once per table of kernels.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "mobileone/kernels/kernels.hpp"

namespace mobileone::kernels::testing {

/// "avx512_float32"
inline std::string label(const KernelTable& table) {
  return std::string(isa_name(table.isa)) + "_" + std::string(precision_name(table.precision));
}

/// Base of the suites that run for every instruction set and precision of this CPU.
class KernelTest : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table = *GetParam();
};
#define MOBILEONE_FOR_ALL_TABLES(Suite)                                             \
  INSTANTIATE_TEST_SUITE_P(Kernels, Suite, ::testing::ValuesIn(supported_tables()), \
                           [](const auto& test) { return label(*test.param); })

/// Zeroed floats aligned for the kernels: what maps, packed weights and scratch are made of. Sized
/// exactly, so that AddressSanitizer sees an access beyond the end.
struct Buffer {
  explicit Buffer(std::size_t count)
      : size(count),
        data(static_cast<float*>(std::aligned_alloc(64, (count * 4 + 63) / 64 * 64)), std::free) {
    std::fill_n(data.get(), count, 0.0f);
  }
  float* get() const { return data.get(); }
  std::size_t size;
  std::unique_ptr<float, decltype(&std::free)> data;
};

/// A blocked map's interior, [channels][height][width]; borders and padding channels must be zero.
inline std::vector<float> interior(const MapShape& map, const Buffer& blocked) {
  std::vector<float> out(std::size_t(map.channels) * map.height * map.width);
  from_blocked(map, blocked.get(), out.data());
  Buffer again(blocked.size);
  to_blocked(map, out.data(), again.get());
  const auto same = [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  EXPECT_TRUE(std::equal(blocked.get(), blocked.get() + blocked.size, again.get(), same))
      << "the border or the padding channels are not zero";
  return out;
}

inline std::vector<float> random_floats(std::size_t count, unsigned seed, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> out(count);
  for (float& x : out) x = normal(engine);
  return out;
}

/// Values of widely different size, 10^-4 to 10^4, as a network with extreme channels has.
inline std::vector<float> hard_floats(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> exponent(-4.0f, 4.0f), sign(-1.0f, 1.0f);
  std::vector<float> out(count);
  for (float& x : out) x = std::copysign(std::pow(10.0f, exponent(engine)), sign(engine));
  return out;
}

}  // namespace mobileone::kernels::testing
