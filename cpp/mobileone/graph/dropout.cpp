#include "mobileone/graph/dropout.hpp"

namespace mobileone {

namespace {

// SplitMix64's output function (Steele et al. 2014): a hash whose bits are uniform.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

DropoutMask::DropoutMask(std::uint64_t seed, std::string_view node, double p)
    : stream_(mix(seed + 0x9e3779b97f4a7c15ULL)), p_(p), scale_(1.0 / (1.0 - p)) {
  for (char c : node) stream_ = mix(stream_ ^ static_cast<unsigned char>(c));
}

double DropoutMask::factor(std::size_t element) const {
  const std::uint64_t bits = mix(stream_ + (element + 1) * 0x9e3779b97f4a7c15ULL);
  const double uniform = static_cast<double>(bits >> 11) * 0x1p-53;  // in [0, 1)
  return uniform < p_ ? 0.0 : scale_;
}

}  // namespace mobileone
