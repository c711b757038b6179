// The local fp32 rounding errors of one operator: their standard deviations, and random draws.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mobileone/reference/evaluate.hpp"

namespace mobileone::reference {

// Half an ulp of 1 in float32: the relative error of one rounding to nearest is at most this.
inline constexpr double kUnitRoundoff = 0x1p-24;
// Relative error of an fp32 exponential in units of u: vector maths libraries stay within 4 ulp.
inline constexpr double kExpError = 8.0;

// Standard deviation of the computed sum of n terms with exact sum `sum` and sum of squares
// `squares`, the terms added one after the other in random order (docs/verification.md, eq. 3).
// `products`: each term is itself the rounded product of two factors.
double sum_deviation(double terms, double sum, double squares, bool products);

// Standard deviation of the local error of every element of node `id`'s result `y`, given exact
// inputs. Empty when the operator is exact (ReLU, Input).
Values local_deviation(const Evaluator& evaluator, NodeId id,
                       const std::vector<const ReferenceTensor*>& inputs, const ReferenceTensor& y);

// One Monte Carlo sample: errors of random sign and the size of their standard deviation, the same
// in every call for the same (seed, sample, name, element).
class RandomRounding : public Rounding {
 public:
  RandomRounding(std::uint64_t seed, int sample);

  void weight(const std::string& name, Values& values) const override;
  void statistics(const std::string& node, const ReferenceTensor& x,
                  ChannelStatistics& statistics) const override;
  void affine(const std::string& node, const ChannelStatistics& statistics,
              Affine& affine) const override;
  void rows(const std::string& node, const ReferenceTensor& x, double eps,
            RowStatistics& statistics) const override;
  void attention(const std::string& node, const ReferenceTensor& x, ReferenceTensor& scores,
                 Values& gains) const override;
  void interpolation(const std::string& node, const std::string& axis,
                     Interpolation& places) const override;
  void running(const std::string& name, const Values& kept, const Values& added,
               Values& values) const override;
  // Adds an error of the given standard deviations to a result.
  void result(const std::string& node, const Values& deviation, ReferenceTensor& y,
              int threads) const;

 private:
  std::uint64_t stream(const std::string& name) const;

  std::uint64_t seed_;
};

}  // namespace mobileone::reference
