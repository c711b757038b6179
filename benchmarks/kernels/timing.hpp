// What the benchmarks of kernels share: a clock, the least time of some rounds, aligned numbers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <random>

namespace mobileone::kernels::benchmark {

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Of one run, in seconds.
inline double least_time(int rounds, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < rounds; ++i) {
    const double start = seconds();
    work();
    best = std::min(best, seconds() - start);
  }
  return best;
}

/// Aligned, seeded, normal with deviation `scale`.
struct Floats {
  explicit Floats(std::ptrdiff_t count, float scale = 1.0f)
      : data(static_cast<float*>(std::aligned_alloc(64, (std::size_t(count) * 4 + 64) / 64 * 64)),
             std::free) {
    std::mt19937 engine(1);
    std::normal_distribution<float> normal(0.0f, scale);
    for (std::ptrdiff_t i = 0; i < count; ++i) data.get()[i] = normal(engine);
  }
  float* get() const { return data.get(); }
  std::unique_ptr<float, decltype(&std::free)> data;
};

}  // namespace mobileone::kernels::benchmark
