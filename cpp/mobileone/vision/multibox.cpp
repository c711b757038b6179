#include "mobileone/vision/multibox.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "mobileone/base/error.hpp"

namespace mobileone {

namespace {

Box corners(const Anchor& anchor) {
  const double x = anchor[0], y = anchor[1], w = 0.5 * anchor[2], h = 0.5 * anchor[3];
  return {x - w, y - h, x + w, y + h};
}

AnchorTarget target_of(const Box& box, std::int64_t label, const Anchor& anchor,
                       const MultiboxRule& rule) {
  const double width = anchor[2], height = anchor[3];
  const double x = 0.5 * (box[0] + box[2]) - anchor[0], y = 0.5 * (box[1] + box[3]) - anchor[1];
  return {label,
          {static_cast<float>(x / width / rule.centre_variance),
           static_cast<float>(y / height / rule.centre_variance),
           static_cast<float>(std::log((box[2] - box[0]) / width) / rule.size_variance),
           static_cast<float>(std::log((box[3] - box[1]) / height) / rule.size_variance)}};
}

// One image's part of the loss, not yet divided.
class ImageLoss {
 public:
  ImageLoss(const std::vector<DetectorMap>& maps, const std::vector<AnchorTarget>& targets,
            const MultiboxRule& rule, const std::vector<float*>& gradients, double positives)
      : maps_(maps),
        rows_(detector_rows(maps, rule.classes)),
        targets_(targets),
        rule_(rule),
        gradients_(gradients),
        positives_(positives),
        softmax_(static_cast<std::size_t>(rule.classes)) {}

  double run() {
    for (std::size_t map = 0; map < maps_.size(); ++map) {
      const auto [height, width] = maps_[map].size;
      const std::int64_t numbers = maps_[map].anchors * (kCoordinates + rule_.classes);
      std::fill_n(gradients_[map], numbers * height * width, 0.f);
    }
    double loss = 0.0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (targets_[i].label != rule_.background) loss += offsets_loss(i) + class_loss(i);
    }
    for (std::size_t i : hard_negatives()) loss += class_loss(i);
    return loss;
  }

 private:
  double number(const DetectorRow& row, std::int64_t i) const {
    return static_cast<double>(maps_[row.map].data[row.at(i)]);
  }
  float& gradient(const DetectorRow& row, std::int64_t i) const {
    return gradients_[row.map][row.at(i)];
  }

  // log sum exp of an anchor's scores, whose softmax it leaves.
  double normalizer(const DetectorRow& row) {
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < rule_.classes; ++c) {
      largest = std::max(largest, number(row, kCoordinates + c));
    }
    double sum = 0.0;
    for (std::int64_t c = 0; c < rule_.classes; ++c) {
      sum += softmax_[static_cast<std::size_t>(c)] =
          std::exp(number(row, kCoordinates + c) - largest);
    }
    for (double& share : softmax_) share /= sum;
    return largest + std::log(sum);
  }

  double offsets_loss(std::size_t anchor) {
    double loss = 0.0;
    for (std::int64_t i = 0; i < kCoordinates; ++i) {
      const double off =
          number(rows_[anchor], i) - static_cast<double>(targets_[anchor].offsets[i]);
      const bool near = std::abs(off) < 1.0;
      loss += near ? 0.5 * off * off : std::abs(off) - 0.5;
      const double slope = near ? off : std::copysign(1.0, off);
      gradient(rows_[anchor], i) = static_cast<float>(slope / positives_);
    }
    return loss;
  }

  double class_loss(std::size_t anchor) {
    const DetectorRow& row = rows_[anchor];
    const double spread = rule_.label_smoothing / static_cast<double>(rule_.classes);
    double loss = normalizer(row);
    for (std::int64_t c = 0; c < rule_.classes; ++c) {
      const bool own = c == targets_[anchor].label;
      const double target = spread + (own ? 1.0 - rule_.label_smoothing : 0.0);
      if (target != 0.0) loss -= target * number(row, kCoordinates + c);
      const double slope = softmax_[static_cast<std::size_t>(c)] - target;
      gradient(row, kCoordinates + c) = static_cast<float>(slope / positives_);
    }
    return loss;
  }

  std::vector<std::size_t> hard_negatives() {
    std::vector<std::size_t> negatives;
    std::size_t others = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      targets_[i].label == rule_.background ? negatives.push_back(i) : void(++others);
    }
    const auto wanted = static_cast<std::size_t>(rule_.negatives * static_cast<double>(others));
    if (wanted >= negatives.size()) return negatives;
    std::vector<double> hardness(rows_.size());
    for (std::size_t i : negatives) {
      const double loss = normalizer(rows_[i]) - number(rows_[i], kCoordinates + rule_.background);
      // What is no number comes first, so that the loss says so.
      hardness[i] = std::isnan(loss) ? std::numeric_limits<double>::infinity() : loss;
    }
    const auto harder = [&](std::size_t a, std::size_t b) {
      return hardness[a] != hardness[b] ? hardness[a] > hardness[b] : a < b;
    };
    const auto end = negatives.begin() + static_cast<std::ptrdiff_t>(wanted);
    std::partial_sort(negatives.begin(), end, negatives.end(), harder);
    negatives.erase(end, negatives.end());
    return negatives;
  }

  const std::vector<DetectorMap>& maps_;
  const std::vector<DetectorRow> rows_;
  const std::vector<AnchorTarget>& targets_;
  const MultiboxRule& rule_;
  const std::vector<float*>& gradients_;
  const double positives_;
  std::vector<double> softmax_;
};

}  // namespace

std::vector<AnchorTarget> match_anchors(const std::vector<Box>& boxes,
                                        const std::vector<std::int64_t>& labels,
                                        const std::vector<Anchor>& anchors,
                                        const MultiboxRule& rule) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> owners(anchors.size(), kNone);
  struct Best {
    double overlap = -1.0;
    std::size_t anchor = 0;
  };
  std::vector<Best> best(boxes.size());
  for (std::size_t a = 0; a < anchors.size(); ++a) {
    const Box place = corners(anchors[a]);
    double most = -1.0;
    for (std::size_t b = 0; b < boxes.size(); ++b) {
      const double found = overlap(place, boxes[b]);
      if (found > best[b].overlap) best[b] = {found, a};
      if (found <= most) continue;
      most = found;
      if (found >= rule.overlap) owners[a] = b;
    }
  }
  for (std::size_t b = 0; b < boxes.size() && !anchors.empty(); ++b) owners[best[b].anchor] = b;
  std::vector<AnchorTarget> targets(anchors.size(), {rule.background, {0.f, 0.f, 0.f, 0.f}});
  for (std::size_t a = 0; a < anchors.size(); ++a) {
    const std::size_t b = owners[a];
    if (b != kNone) targets[a] = target_of(boxes[b], labels[b], anchors[a], rule);
  }
  return targets;
}

double multibox_loss(const std::vector<std::vector<DetectorMap>>& images,
                     const std::vector<std::vector<AnchorTarget>>& targets,
                     const MultiboxRule& rule, const std::vector<std::vector<float*>>& gradients) {
  std::int64_t positives = 0;
  for (std::size_t image = 0; image < images.size(); ++image) {
    const std::size_t rows = detector_rows(images[image], rule.classes).size();
    if (targets.at(image).size() != rows) {
      throw Error(concat("[multibox_loss] image ", image, " has ", targets[image].size(),
                         " targets; expected one for each of ", rows, " anchors"));
    }
    positives += std::ranges::count_if(
        targets[image], [&](const AnchorTarget& t) { return t.label != rule.background; });
  }
  const auto share = static_cast<double>(std::max<std::int64_t>(positives, 1));
  double loss = 0.0;
  for (std::size_t image = 0; image < images.size(); ++image) {
    loss += ImageLoss(images[image], targets[image], rule, gradients[image], share).run();
  }
  return loss / share;
}

}  // namespace mobileone
