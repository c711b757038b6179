// One block of memory for all activations of a plan: values that are never alive at the same time
// share addresses.
#pragma once

#include <cstddef>
#include <vector>

#include "mobileone/plan/value.hpp"

namespace mobileone {

// First and last step (inclusive) during which a value holds data.
struct Lifetime {
  int first = -1;
  int last = -1;
};

// Sets the offset of every arena value (64-byte aligned) and returns the arena's size. Greedy by
// size: the largest value first, each at the lowest offset free during its lifetime.
std::size_t assign_offsets(std::vector<Value>& values, const std::vector<Lifetime>& lifetimes);

// Sets Value::border_kept where what was written last to any of a value's memory, run after run, is
// a value of the same shape, layout and offset: writers of the inside leave the border alone. Needs
// an arena that starts as zeros.
void keep_borders(std::vector<Value>& values, const std::vector<Lifetime>& lifetimes);

}  // namespace mobileone
