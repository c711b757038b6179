#include "mobileone/reference/cross_entropy.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/base/error.hpp"
#include "mobileone/reference/arrays.hpp"

namespace mobileone {

LogitsLoss cross_entropy(const ReferenceTensor& logits, const ReferenceTensor& targets,
                         double label_smoothing) {
  if (logits.shape.size() != 2 || logits.shape[0] < 1 || logits.shape[1] < 1) {
    throw Error(concat("[cross_entropy] logits have shape ", to_string(logits.shape),
                       "; expected (batch, classes)"));
  }
  if (targets.shape != logits.shape) {
    throw Error(concat("[cross_entropy] targets have shape ", to_string(targets.shape),
                       "; expected ", to_string(logits.shape)));
  }
  if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) {
    throw Error(concat("[cross_entropy] label_smoothing is ", label_smoothing,
                       "; expected a number between 0 and 1"));
  }
  const auto classes = logits.shape[1];
  const auto images = static_cast<double>(logits.shape[0]);
  LogitsLoss result{0.0, reference::zeros(logits.shape)};
  for (std::int64_t first = 0; first < logits.shape[0] * classes; first += classes) {
    const double* z = logits.values.data() + first;
    const double largest = *std::max_element(z, z + classes);
    double exponentials = 0.0, total = 0.0;
    for (std::int64_t k = 0; k < classes; ++k) exponentials += std::exp(z[k] - largest);
    const double normalizer = largest + std::log(exponentials);
    double* gradient = result.gradient.values.data() + first;
    for (std::int64_t k = 0; k < classes; ++k) {
      const double target =
          (1.0 - label_smoothing) * targets.values[reference::to_index(first + k)] +
          label_smoothing / static_cast<double>(classes);
      result.loss -= target * (z[k] - normalizer) / images;
      gradient[k] = -target / images;
      total += target;
    }
    for (std::int64_t k = 0; k < classes; ++k) {
      gradient[k] += total * std::exp(z[k] - normalizer) / images;
    }
  }
  return result;
}

ReferenceTensor one_hot(const std::vector<std::int64_t>& labels, std::int64_t classes) {
  ReferenceTensor targets = reference::zeros({static_cast<std::int64_t>(labels.size()), classes});
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      throw Error(
          concat("[cross_entropy] label ", i, " is ", labels[i], "; expected 0 to ", classes - 1));
    }
    targets.values[i * reference::to_index(classes) + reference::to_index(labels[i])] = 1.0;
  }
  return targets;
}

}  // namespace mobileone
