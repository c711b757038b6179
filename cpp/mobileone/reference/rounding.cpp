#include "mobileone/reference/rounding.hpp"

#include <algorithm>
#include <cmath>

namespace mobileone::reference {

namespace {

// SplitMix64's output function (Steele et al. 2014): a hash whose bits are uniform.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// body(i, sign of element i) for i in [0, count), the hash computed once per 64 elements.
template <typename Body>
void for_each_sign(std::uint64_t stream, std::size_t count, int threads, const Body& body) {
  const auto blocks = static_cast<std::int64_t>((count + 63) / 64);
  parallel_for(blocks, 1 << 10, threads, [&](std::int64_t begin, std::int64_t end) {
    for (auto block = static_cast<std::size_t>(begin); block < static_cast<std::size_t>(end);
         ++block) {
      std::uint64_t bits = mix(stream + (block + 1) * 0x9e3779b97f4a7c15ULL);
      for (std::size_t i = block * 64; i < std::min(count, block * 64 + 64); ++i, bits >>= 1) {
        body(i, 1.0 - 2.0 * static_cast<double>(bits & 1));
      }
    }
  });
}

}  // namespace

double sum_deviation(double terms, double sum, double squares, bool products) {
  const double additions = (terms + 1.0) * (sum * sum / 3.0 + squares / 6.0);
  return kUnitRoundoff * std::sqrt(additions + (products ? squares : 0.0));
}

// 64 elements share one hash.
double Signs::operator()(std::size_t i) const {
  const std::uint64_t bits = mix(stream_ + (i / 64 + 1) * 0x9e3779b97f4a7c15ULL);
  return 1.0 - 2.0 * static_cast<double>((bits >> (i % 64)) & 1);
}

RandomRounding::RandomRounding(std::uint64_t seed, int sample)
    : seed_(mix(mix(seed) + static_cast<std::uint64_t>(sample))) {}

std::uint64_t RandomRounding::stream(const std::string& name) const {
  std::uint64_t hash = seed_;
  for (char c : name) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

void RandomRounding::round(const std::string& name, Values& values) const {
  const double roundoff = bfloat16_.contains(name) ? kBfloat16Roundoff : kUnitRoundoff;
  for_each_sign(stream(name), values.size(), 1,
                [&](std::size_t i, double sign) { values[i] += sign * roundoff * values[i]; });
}

void RandomRounding::result(const std::string& node, const Values& deviation, ReferenceTensor& y,
                            int threads) const {
  for_each_sign(stream(node), deviation.size(), threads,
                [&](std::size_t i, double sign) { y.values[i] += sign * deviation[i]; });
}

}  // namespace mobileone::reference
