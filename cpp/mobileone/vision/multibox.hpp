// What a single-shot detector learns (Liu et al. 2016, section 2.2): which anchor stands for which
// object, and the loss of its maps.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/vision/detector_map.hpp"
#include "mobileone/vision/nms.hpp"

namespace mobileone {

struct MultiboxRule {
  std::int64_t classes;          // with the background
  std::int64_t background = 0;   // its number
  double centre_variance = 0.1;  // as in DetectionRule
  double size_variance = 0.2;
  double overlap = 0.5;          // an anchor is an object's that it overlaps at least so much
  double negatives = 3.0;        // anchors of the background that count, for each of an object
  double label_smoothing = 0.0;  // share of a label that is spread over all classes
};

struct AnchorTarget {
  std::int64_t label;
  float offsets[kCoordinates];  // to the object's box; zeros of the background
};

// The object that each anchor overlaps most, of equal ones the first, if by at least
// `rule.overlap`; and each object's best anchor is its own, however little they overlap: of several
// objects with the same best anchor, the last one's. Boxes are (left, top, right, bottom) in units
// of the image's sides, with positive sides.
std::vector<AnchorTarget> match_anchors(const std::vector<Box>& boxes,
                                        const std::vector<std::int64_t>& labels,
                                        const std::vector<Anchor>& anchors,
                                        const MultiboxRule& rule);

// The loss of a batch, a vector of maps and of targets per image: over the anchors of objects,
// smooth L1 of the offsets (quadratic below 1) and cross entropy of the classes; over those of the
// background that are least taken for it, at most `rule.negatives` for each of the image's others,
// of equal ones the first, cross entropy. Divided by the number of anchors of objects in the batch;
// without any it is 0. Its gradient is written for all numbers: gradients[image][map] as the maps
// are. float64 in a fixed order. Throws Error on other numbers of targets than of anchors.
double multibox_loss(const std::vector<std::vector<DetectorMap>>& images,
                     const std::vector<std::vector<AnchorTarget>>& targets,
                     const MultiboxRule& rule, const std::vector<std::vector<float*>>& gradients);

}  // namespace mobileone
