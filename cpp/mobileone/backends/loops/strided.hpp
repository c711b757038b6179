// Loops over tensors of any number of dimensions, whose elements lie at strides of their own.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

// Nested loops that visit several tensors at once; strides are in elements.
template <std::size_t kTensors>
class Nest {
 public:
  using Offsets = std::array<std::int64_t, kTensors>;

  // Loops over `shape`, the outermost one that with the largest stride in the first tensor; loops
  // that are one in memory become one.
  Nest(const Shape& shape, const std::array<Shape, kTensors>& strides) {
    std::vector<Loop> loops;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] == 1) continue;
      Loop loop{shape[axis], {}};
      for (std::size_t t = 0; t < kTensors; ++t) loop.strides[t] = strides[t][axis];
      loops.push_back(loop);
    }
    std::ranges::stable_sort(loops, std::greater{}, [](const Loop& l) { return l.strides[0]; });
    for (const Loop& loop : loops) {
      if (!loops_.empty() && continues(loops_.back(), loop)) {
        loops_.back() = {loops_.back().extent * loop.extent, loop.strides};
      } else {
        loops_.push_back(loop);
      }
    }
    if (loops_.empty()) loops_.push_back({1, {}});
  }

  // Of the innermost loop.
  std::int64_t count() const { return loops_.back().extent; }
  const Offsets& strides() const { return loops_.back().strides; }
  // How often that runs.
  std::int64_t rows() const {
    std::int64_t rows = 1;
    for (std::size_t i = 0; i + 1 < loops_.size(); ++i) rows *= loops_[i].extent;
    return rows;
  }

  // visit(offsets) for each of these rows, at its first elements.
  template <typename Visit>
  void for_each_row(std::int64_t begin, std::int64_t end, const Visit& visit) const {
    std::vector<std::int64_t> at(loops_.size(), 0);
    Offsets offsets{};
    std::int64_t left = begin;
    for (std::size_t i = loops_.size() - 1; i-- > 0;) {
      at[i] = left % loops_[i].extent;
      left /= loops_[i].extent;
      move(offsets, loops_[i], at[i]);
    }
    for (std::int64_t row = begin; row < end; ++row) {
      visit(offsets);
      for (std::size_t i = loops_.size() - 1; i-- > 0;) {
        move(offsets, loops_[i], 1);
        if (++at[i] < loops_[i].extent) break;
        move(offsets, loops_[i], -at[i]);
        at[i] = 0;
      }
    }
  }
  // visit(offsets) for every element.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for_each_row(0, rows(), [&](Offsets offsets) {
      for (std::int64_t i = 0; i < count(); ++i) {
        visit(offsets);
        move(offsets, loops_.back(), 1);
      }
    });
  }

 private:
  struct Loop {
    std::int64_t extent;
    Offsets strides;
  };
  static void move(Offsets& offsets, const Loop& loop, std::int64_t steps) {
    for (std::size_t t = 0; t < kTensors; ++t) offsets[t] += steps * loop.strides[t];
  }
  static bool continues(const Loop& outer, const Loop& inner) {
    for (std::size_t t = 0; t < kTensors; ++t) {
      if (outer.strides[t] != inner.strides[t] * inner.extent) return false;
    }
    return true;
  }

  std::vector<Loop> loops_;
};

// Of the axes of a value in nchw or nhwc; of any other rank row-major.
Shape strides_of(const Shape& shape, const Layout& layout);
inline Shape strides_of(const Value& value) { return strides_of(value.shape, value.layout); }
// Those of a tensor that is broadcast to a shape of that many dimensions: 0 where it is repeated.
Shape broadcast_strides(const Value& value, std::size_t rank);
// Those of axes in another order.
Shape permuted(const Shape& strides, const Integers& perm);

// A node's value in nchw or nhwc, whichever is there.
ValueId plain_value(PlanBuilder& builder, NodeId node);

// A copy of one tensor's elements into another's, `shape` of them.
struct StridedCopy {
  Nest<2> nest;  // to, from
  std::int64_t to_offset, from_offset;
  ValueId from;

  void run(std::int64_t begin, std::int64_t end, const float* x, float* y) const;
};

// Of all elements, in the order of both.
inline StridedCopy whole_copy(std::int64_t count, ValueId from) {
  return {Nest<2>({count}, {Shape{1}, Shape{1}}), 0, 0, from};
}

// What a step of copies into `to` runs, whose other elements get a value, if it is given.
class StridedCopies {
 public:
  StridedCopies(const PlanBuilder& builder, ValueId to, std::vector<StridedCopy> copies,
                std::optional<float> fill = std::nullopt);

  void operator()(const Buffers& buffers) const;

 private:
  std::vector<StridedCopy> copies_;
  ValueId to_;
  std::int64_t floats_;  // of it
  std::optional<float> fill_;
  ThreadPool* pool_;
};

// Where a smaller tensor lies in a larger one: element i is element offset + i * step of each axis.
struct Window {
  Shape shape;  // of the smaller one
  Integers offset, step;

  StridedCopy into(const Value& larger, const Value& smaller, ValueId from) const;
  StridedCopy out_of(const Value& larger, const Value& smaller, ValueId from) const;
};
Window whole_window(const Shape& shape);

}  // namespace mobileone::loops
