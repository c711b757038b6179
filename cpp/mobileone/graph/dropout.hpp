// Which elements Dropout drops in train mode: a function of (seed, node, element) alone, so that
// every executor drops the same ones, in any order and on any number of threads.
#pragma once

#include <cstdint>
#include <string_view>

namespace mobileone {

// Elements are counted in row-major order of the operator's result (NCHW for feature maps).
class DropoutMask {
 public:
  // `p`, in [0, 1], is the probability of being dropped.
  DropoutMask(std::uint64_t seed, std::string_view node, double p) : stream_(mix(seed)), p_(p) {
    for (char c : node) stream_ = mix(stream_ ^ static_cast<unsigned char>(c));
  }

  bool keeps(std::uint64_t element) const {
    const std::uint64_t bits = mix(stream_ + (element + 1) * 0x9e3779b97f4a7c15ULL);
    return static_cast<double>(bits >> 11) * 0x1p-53 >= p_;  // uniform in [0, 1)
  }

  // What kept elements are multiplied with, so that the expectation stays: 1 / (1 - p).
  double scale() const { return p_ < 1.0 ? 1.0 / (1.0 - p_) : 0.0; }

 private:
  // The finalizer of SplitMix64 (Steele et al. 2014).
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  std::uint64_t stream_;
  double p_;
};

}  // namespace mobileone
