#include "mobileone/reference/panel.hpp"

#include <array>
#include <cstring>

// The product's plain loops are compiled for wider vectors as well; the loader picks at run time.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MOBILEONE_WIDE_LOOPS \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MOBILEONE_WIDE_LOOPS
#endif

namespace mobileone::reference {

namespace {

// Eight pixels side by side, a vector type of the compiler's; arithmetic on it is elementwise.
using Lanes = double __attribute__((vector_size(64)));

constexpr std::int64_t kLanes = kPixels / 2;
constexpr std::int64_t kChannels = 4;  // output channels computed together

// sums[c][p] += sum over k of weight[c][k] * panel[k][p], in ascending k.
// Every loop over channels is unrolled: the sums stay in registers only then (GCC 12).
template <int channels>
[[gnu::always_inline]] inline void accumulate(const double* weight, std::int64_t terms,
                                              const double* panel, double* sums) {
  const auto load = [](Lanes& lanes, const double* from) {
    std::memcpy(&lanes, from, sizeof lanes);
  };
  Lanes left[channels], right[channels];
#pragma GCC unroll 4
  for (int c = 0; c < channels; ++c) {
    load(left[c], sums + c * kPixels);
    load(right[c], sums + c * kPixels + kLanes);
  }
  for (std::int64_t k = 0; k < terms; ++k, panel += kPixels) {
    Lanes x0, x1;
    load(x0, panel);
    load(x1, panel + kLanes);
#pragma GCC unroll 4
    for (int c = 0; c < channels; ++c) {
      const double w = weight[c * terms + k];
      left[c] += w * x0;
      right[c] += w * x1;
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < channels; ++c) {
    std::memcpy(sums + c * kPixels, &left[c], sizeof(Lanes));
    std::memcpy(sums + c * kPixels + kLanes, &right[c], sizeof(Lanes));
  }
}

MOBILEONE_WIDE_LOOPS void accumulate_four(const double* weight, std::int64_t terms,
                                          const double* panel, double* sums) {
  accumulate<kChannels>(weight, terms, panel, sums);
}

MOBILEONE_WIDE_LOOPS void accumulate_one(const double* weight, std::int64_t terms,
                                         const double* panel, double* sums) {
  accumulate<1>(weight, terms, panel, sums);
}

}  // namespace

void multiply_panel(std::int64_t channels, std::int64_t terms, const double* weight,
                    const double* bias, const double* panel,
                    const std::function<void(std::int64_t, const double*)>& store) {
  std::array<double, kChannels * kPixels> sums;
  for (std::int64_t first = 0; first < channels;) {
    const std::int64_t together = first + kChannels <= channels ? kChannels : 1;
    for (std::int64_t i = 0; i < together * kPixels; ++i) {
      sums[static_cast<std::size_t>(i)] = bias ? bias[first + i / kPixels] : 0.0;
    }
    const auto product = together == 1 ? accumulate_one : accumulate_four;
    product(weight + first * terms, terms, panel, sums.data());
    for (std::int64_t c = 0; c < together; ++c) store(first + c, sums.data() + c * kPixels);
    first += together;
  }
}

}  // namespace mobileone::reference
