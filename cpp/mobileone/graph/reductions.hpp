// What Reduce makes of the numbers along its axes, a row each.
#pragma once

#include <array>

#include "mobileone/graph/attributes.hpp"

namespace mobileone {

// `norm` is the root of the sum of squares.
enum class ReductionKind { mean, sum, norm };

struct Reduction {
  ReductionKind kind;
  const char* name;
  const char* onnx;
};

// In the order of ReductionKind.
inline constexpr std::array kReductions{Reduction{ReductionKind::mean, "mean", "ReduceMean"},
                                        Reduction{ReductionKind::sum, "sum", "ReduceSum"},
                                        Reduction{ReductionKind::norm, "norm", "ReduceL2"}};

constexpr const auto& rows_of(ReductionKind) { return kReductions; }
static_assert(in_order(kReductions));
constexpr const Reduction& reduction(ReductionKind kind) { return row_of(kind); }

}  // namespace mobileone
