// The loops of Reduce, forward and backward.
#pragma once

#include <cmath>

#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

struct ReductionNests {
  Nest<2> kept;     // result, input
  Nest<1> reduced;  // input
  std::int64_t terms;

  ReductionNests(const Reduce& op, const Value& source, const Value& result)
      : kept(result.shape, {strides_of(result), strides_of(source)}),
        reduced(reduced_shape(op, source.shape), {strides_of(source)}),
        terms(element_count(reduced_shape(op, source.shape))) {}

  // visit(place of the result's element, place of its first input element).
  template <typename Visit>
  void for_each_result(ThreadPool* pool, const Visit& visit) const {
    const auto [to, from] = kept.strides();
    spread(pool, kept.rows(), [&](std::int64_t begin, std::int64_t end, int) {
      kept.for_each_row(begin, end, [&](const Nest<2>::Offsets& at) {
        for (std::int64_t i = 0; i < kept.count(); ++i) visit(at[0] + i * to, at[1] + i * from);
      });
    });
  }

 private:
  static Shape reduced_shape(const Reduce& op, const Shape& source) {
    Shape shape = source;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (!op.reduces(axis)) shape[axis] = 1;
    }
    return shape;
  }
};

}  // namespace mobileone::loops
