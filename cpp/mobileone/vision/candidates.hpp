// Which classes of a detector's anchors are probable enough to be looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mobileone/vision/detect.hpp"

namespace mobileone {

// A class of an anchor whose probability is large enough.
struct Candidate {
  double score;
  std::int64_t label;
  std::size_t anchor;
};

// Appends the classes of a map's anchors, numbered from `first` on, with probabilities above the
// rule's: softmax in float64, exponentials to two units in the last place. A probability is at most
// exp(its logit - the largest logit), so that most anchors are done without an exponential.
void add_candidates(const DetectorMap& map, std::size_t first, const DetectionRule& rule,
                    std::vector<Candidate>& candidates);

}  // namespace mobileone
