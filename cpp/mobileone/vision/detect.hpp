// A single-shot detector's maps to boxes.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "mobileone/vision/detector_map.hpp"
#include "mobileone/vision/nms.hpp"

namespace mobileone {

struct DetectionRule {
  std::int64_t classes;           // with the background
  std::int64_t background = 0;    // its number, which is never detected
  double centre_variance = 0.1;   // offsets of centres and logarithms of sizes are
  double size_variance = 0.2;     // multiplied by these
  double score = 0.01;            // probabilities must be larger
  std::int64_t candidates = 400;  // the most of a class that suppression sees
  double overlap = 0.5;           // of the same class, more is suppressed
  std::int64_t most = 200;        // boxes of an image
  std::int64_t per_map = 0;       // classes of anchors that are looked at in a map; 0: all
  bool clip = false;  // whether boxes are cut at the image's border before comparing, and those
                      // outside dropped
  double growth = std::numeric_limits<double>::infinity();  // logarithms of sizes, at most
};

struct Detection {
  Box box;  // in units of the image's width and height, not clipped
  double score;
  std::int64_t label;
};

// Softmax over classes, boxes around anchors (Liu et al. 2016), class by class non-maximum
// suppression; by falling scores. Of equal scores the smaller class comes first, then the earlier
// anchor. All in float64.
std::vector<Detection> detect(const std::vector<DetectorMap>& maps,
                              const std::vector<Anchor>& anchors, const DetectionRule& rule);

}  // namespace mobileone
