// The loss of classification in float64.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/reference/reference.hpp"

namespace mobileone {

struct LogitsLoss {
  double loss = 0.0;
  ReferenceTensor gradient;  // by the logits
};

// The mean over images of -sum over classes of q log softmax(logits), where q is
// (1 - label_smoothing) target + label_smoothing / classes (Szegedy et al. 2016, section 7). Logits
// and targets [N, classes]; a target need not sum to 1. Throws Error on other shapes, without an
// image, and on a label_smoothing outside [0, 1].
LogitsLoss cross_entropy(const ReferenceTensor& logits, const ReferenceTensor& targets,
                         double label_smoothing = 0.0);

// Targets of labels: [N, classes], 1 at the label and 0 elsewhere. Throws Error on a label that is
// no class.
ReferenceTensor one_hot(const std::vector<std::int64_t>& labels, std::int64_t classes);

}  // namespace mobileone
