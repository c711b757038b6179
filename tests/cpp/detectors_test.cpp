// Detectors' maps to boxes, against the definition; objects to anchors; the loss, its gradient
// against differences.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mobileone/base/error.hpp"
#include "mobileone/vision/detect.hpp"
#include "mobileone/vision/multibox.hpp"

namespace mobileone {
namespace {

constexpr std::int64_t kClasses = 5;
const std::vector<MapSize> kSizes{{3, 4}, {2, 2}, {1, 1}};

// Maps of normal numbers, two anchors a cell.
struct Maps {
  std::vector<std::vector<float>> numbers;

  explicit Maps(unsigned seed, float scale = 2.0f) {
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal(0.0f, scale);
    for (const MapSize& size : kSizes) {
      auto& map = numbers.emplace_back(
          static_cast<std::size_t>(2 * (4 + kClasses) * size.height * size.width));
      for (float& number : map) number = normal(engine);
    }
  }
  std::vector<DetectorMap> views() const {
    std::vector<DetectorMap> maps;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      maps.push_back({numbers[i].data(), 2, kSizes[i]});
    }
    return maps;
  }
  double at(const DetectorRow& row, std::int64_t i) const {
    return static_cast<double>(numbers[row.map][static_cast<std::size_t>(row.at(i))]);
  }
};

std::vector<Anchor> anchors() {
  std::vector<Anchor> all;
  for (const MapSize& size : kSizes) {
    for (std::int64_t pixel = 0; pixel < size.height * size.width; ++pixel) {
      const auto x = static_cast<float>(pixel % size.width),
                 y = static_cast<float>(pixel / size.width);
      const auto across = static_cast<float>(size.width), down = static_cast<float>(size.height);
      for (float scale : {0.3f, 0.5f}) {
        all.push_back({(x + 0.5f) / across, (y + 0.5f) / down, scale, 0.8f * scale});
      }
    }
  }
  return all;
}

// Of all anchors and classes, the most probable first; boxes one after the other.
std::vector<Detection> slow_detect(const Maps& maps, const DetectionRule& rule) {
  struct Entry {
    double score;
    std::int64_t label;
    std::size_t anchor;
  };
  const auto rows = detector_rows(maps.views(), kClasses);
  const auto places = anchors();
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double sum = 0.0;
    for (std::int64_t c = 0; c < kClasses; ++c) sum += std::exp(maps.at(rows[i], 4 + c));
    for (std::int64_t c = 0; c < kClasses; ++c) {
      const double score = std::exp(maps.at(rows[i], 4 + c)) / sum;
      if (c != rule.background && score > rule.score) entries.push_back({score, c, i});
    }
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.score > b.score; });
  std::vector<Detection> kept;
  for (const Entry& entry : entries) {
    const Anchor& a = places[entry.anchor];
    const auto number = [&](std::int64_t i) { return maps.at(rows[entry.anchor], i); };
    const double x = a[0] + 0.1 * number(0) * a[2], y = a[1] + 0.1 * number(1) * a[3];
    const double w = a[2] * std::exp(0.2 * number(2)), h = a[3] * std::exp(0.2 * number(3));
    Box box{x - w / 2, y - h / 2, x + w / 2, y + h / 2};
    if (rule.clip) {
      for (double& side : box) side = std::clamp(side, 0.0, 1.0);
      if (box[2] <= box[0] || box[3] <= box[1]) continue;
    }
    const bool hidden = std::any_of(kept.begin(), kept.end(), [&](const Detection& other) {
      return other.label == entry.label && overlap(other.box, box) > rule.overlap;
    });
    if (!hidden && kept.size() < static_cast<std::size_t>(rule.most)) {
      kept.push_back({box, entry.score, entry.label});
    }
  }
  return kept;
}

TEST(Detect, IsTheDefinition) {
  for (std::int64_t background : {std::int64_t{0}, kClasses - 1}) {
    for (bool clip : {false, true}) {
      for (double score : {0.0, 0.01, 0.3}) {
        const Maps maps(static_cast<unsigned>(7 + background), clip ? 9.0f : 2.0f);
        DetectionRule rule{kClasses, background};
        rule.score = score;
        rule.clip = clip;
        rule.most = 25;
        const auto found = detect(maps.views(), anchors(), rule);
        const auto expected = slow_detect(maps, rule);
        ASSERT_EQ(found.size(), expected.size());
        ASSERT_GT(found.size(), 3u);
        for (std::size_t i = 0; i < found.size(); ++i) {
          EXPECT_EQ(found[i].label, expected[i].label);
          EXPECT_NEAR(found[i].score, expected[i].score, 1e-14);
          for (std::size_t k = 0; k < 4; ++k) {
            EXPECT_NEAR(found[i].box[k], expected[i].box[k],
                        1e-12 * (1 + std::abs(found[i].box[k])));
          }
        }
      }
    }
  }
}

TEST(Detect, OfEqualScoresTheSmallerClassThenTheEarlierAnchorComesFirst) {
  Maps maps(1);
  for (auto& map : maps.numbers) std::fill(map.begin(), map.end(), 0.0f);
  DetectionRule rule{kClasses};
  rule.overlap = 1.0;
  const auto found = detect(maps.views(), anchors(), rule);
  ASSERT_EQ(found.size(), (kClasses - 1) * anchors().size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].label, static_cast<std::int64_t>(1 + i / anchors().size()));
    EXPECT_EQ(found[i].score, 1.0 / kClasses);
    EXPECT_NEAR(found[i].box[0],
                anchors()[i % anchors().size()][0] - anchors()[i % anchors().size()][2] / 2, 1e-7);
  }
}

TEST(Detect, NumbersThatAreNotFiniteDetectNothing) {
  Maps maps(2);
  for (auto& map : maps.numbers) std::fill(map.begin(), map.end(), std::nanf(""));
  EXPECT_TRUE(detect(maps.views(), anchors(), {kClasses}).empty());
  EXPECT_THROW(detect(maps.views(), {}, {kClasses}), Error);
}

TEST(Multibox, AnAnchorIsTheObjectsThatItOverlapsMost) {
  const auto places = anchors();
  const auto box_of = [&](std::size_t i) {
    const Anchor& a = places[i];
    return Box{a[0] - a[2] / 2, a[1] - a[3] / 2, a[0] + a[2] / 2, a[1] + a[3] / 2};
  };
  // An anchor's own box, and one that overlaps none by half.
  const std::vector<Box> boxes{box_of(5), {0.01, 0.01, 0.05, 0.04}};
  const auto targets = match_anchors(boxes, {2, 3}, places, {kClasses});
  ASSERT_EQ(targets.size(), places.size());
  EXPECT_EQ(targets[5].label, 2);
  for (float offset : targets[5].offsets) EXPECT_NEAR(offset, 0.0f, 1e-5f);
  std::size_t best = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (overlap(boxes[1], box_of(i)) > overlap(boxes[1], box_of(best))) best = i;
    if (targets[i].label == 2) {
      EXPECT_GE(overlap(boxes[0], box_of(i)), 0.5);
    }
  }
  EXPECT_EQ(targets[best].label, 3);
  EXPECT_EQ(std::count_if(targets.begin(), targets.end(),
                          [](const AnchorTarget& t) { return t.label == 3; }),
            1);
}

struct Loss {
  Maps maps{11, 1.0f};
  std::vector<AnchorTarget> targets;

  Loss() {
    const std::vector<Box> boxes{{0.1, 0.1, 0.45, 0.4}, {0.5, 0.3, 0.95, 0.9}};
    targets = match_anchors(boxes, {1, 4}, anchors(), {kClasses});
  }
  double operator()(const MultiboxRule& rule, std::vector<std::vector<float>>& gradients) const {
    gradients = maps.numbers;
    std::vector<float*> places;
    for (auto& map : gradients) places.push_back(map.data());
    return multibox_loss({maps.views()}, {targets}, rule, {places});
  }
};

TEST(Multibox, ItsGradientIsThatOfDifferences) {
  for (double smoothing : {0.0, 0.1}) {
    MultiboxRule rule{kClasses};
    rule.label_smoothing = smoothing;
    rule.negatives = 1000.0;  // all: no anchor is on the edge of being one of them
    Loss loss;
    std::vector<std::vector<float>> gradients, unused;
    loss(rule, gradients);
    for (std::size_t map = 0; map < gradients.size(); ++map) {
      for (std::size_t i = 0; i < gradients[map].size(); ++i) {
        constexpr float kStep = 1.0f / 1024.0f;  // moves floats of this size exactly
        float& number = loss.maps.numbers[map][i];
        const float before = number;
        number = before + kStep;
        const double after_it = static_cast<double>(number), above = loss(rule, unused);
        number = before - kStep;
        const double difference =
            (above - loss(rule, unused)) / (after_it - static_cast<double>(number));
        number = before;
        // Third derivatives are at most 1 in size; smooth L1 has a kink of its second at 1.
        EXPECT_NEAR(gradients[map][i], difference, 2e-3);
      }
    }
  }
}

TEST(Multibox, AsManyNegativesCountAsTheRuleSays) {
  Loss loss;
  const auto objects = static_cast<std::size_t>(
      std::count_if(loss.targets.begin(), loss.targets.end(),
                    [](const AnchorTarget& target) { return target.label != 0; }));
  ASSERT_GT(objects, 1u);
  std::vector<std::vector<float>> gradients;
  for (double negatives : {0.0, 1.0, 3.0}) {
    MultiboxRule rule{kClasses};
    rule.negatives = negatives;
    loss(rule, gradients);
    std::size_t count = 0;
    const auto rows = detector_rows(loss.maps.views(), kClasses);
    for (const DetectorRow& row : rows) {
      count += gradients[row.map][static_cast<std::size_t>(row.at(4))] != 0.0f;
    }
    const auto most = objects + static_cast<std::size_t>(negatives * static_cast<double>(objects));
    EXPECT_EQ(count, std::min(most, rows.size()));
  }
}

TEST(Multibox, WithoutObjectsItIsZero) {
  Loss loss;
  for (AnchorTarget& target : loss.targets) target = {0, {}};
  std::vector<std::vector<float>> gradients;
  EXPECT_EQ(loss({kClasses}, gradients), 0.0);
  for (const auto& map : gradients) EXPECT_EQ(map, std::vector<float>(map.size(), 0.0f));
  loss.targets.pop_back();
  EXPECT_THROW(loss({kClasses}, gradients), Error);
}

}  // namespace
}  // namespace mobileone
