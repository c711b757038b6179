// The rounding errors of fp32: the standard deviation of a sum's, and random draws.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "mobileone/reference/arrays.hpp"

namespace mobileone::reference {

// Half an ulp of 1 in float32: the relative error of one rounding to nearest is at most this.
inline constexpr double kUnitRoundoff = 0x1p-24;

// The same of bfloat16, which keeps 8 bits.
inline constexpr double kBfloat16Roundoff = 0x1p-8;

// Standard deviation of the computed sum of n terms with exact sum `sum` and sum of squares
// `squares`, the terms added one after the other in random order (docs/verification.md, eq. 3).
// `products`: each term is itself the rounded product of two factors.
double sum_deviation(double terms, double sum, double squares, bool products);

// A stream of random signs; element i's is the same in any order.
class Signs {
 public:
  explicit Signs(std::uint64_t stream) : stream_(stream) {}
  double operator()(std::size_t i) const;  // 1 or -1

 private:
  std::uint64_t stream_;
};

// One Monte Carlo sample: errors of random sign and the size of their standard deviation, the same
// in every call for the same (seed, sample, name, element).
class RandomRounding {
 public:
  RandomRounding(std::uint64_t seed, int sample);

  // What decides the signs of the errors of that name, such as "<node>.weight".
  Signs signs(const std::string& name) const { return Signs(stream(name)); }
  // Rounds every value once.
  void round(const std::string& name, Values& values) const;
  // From now on what is rounded under this name is rounded to bfloat16.
  void make_bfloat16(std::string name) { bfloat16_.insert(std::move(name)); }
  // Adds an error of the given standard deviations to a result; none if they are empty.
  void result(const std::string& node, const Values& deviation, ReferenceTensor& y,
              int threads) const;

 private:
  std::uint64_t stream(const std::string& name) const;

  std::uint64_t seed_;
  std::set<std::string> bfloat16_;
};

}  // namespace mobileone::reference
