// What Reduce makes of the numbers along its axes, a row each.
#pragma once

#include <algorithm>
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

constexpr const Reduction& reduction(ReductionKind kind) {
  return kReductions.at(static_cast<std::size_t>(kind));
}

static_assert(std::ranges::all_of(kReductions, [](const Reduction& row) {
  return &row == &reduction(row.kind);
}));

// As attributes they are their names.
inline Attribute to_attribute(ReductionKind kind) { return std::string(reduction(kind).name); }
inline std::string read_attribute(const Attribute& from, ReductionKind& kind) {
  return read_named(from, kReductions, kind);
}

}  // namespace mobileone
