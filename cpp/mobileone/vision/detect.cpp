#include "mobileone/vision/detect.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/base/error.hpp"
#include "mobileone/vision/candidates.hpp"

namespace mobileone {

namespace {

// One anchor's numbers: every `stride`-th from `data` on.
struct Row {
  const float* data;
  std::int64_t stride;

  double operator[](std::int64_t i) const { return static_cast<double>(data[i * stride]); }
};

Box decoded(const Row& row, const Anchor& anchor, const DetectionRule& rule) {
  const double width = anchor[2], height = anchor[3];
  const double x = anchor[0] + row[0] * rule.centre_variance * width;
  const double y = anchor[1] + row[1] * rule.centre_variance * height;
  const auto grown = [&](double offset) {
    return std::exp(std::clamp(offset * rule.size_variance, -rule.growth, rule.growth));
  };
  const double half_w = 0.5 * width * grown(row[2]), half_h = 0.5 * height * grown(row[3]);
  Box box{x - half_w, y - half_h, x + half_w, y + half_h};
  if (rule.clip) {
    for (double& side : box) side = std::clamp(side, 0.0, 1.0);
  }
  return box;
}

std::vector<Row> rows_of(const std::vector<DetectorMap>& maps,
                         const std::vector<DetectorRow>& places) {
  std::vector<Row> rows;
  for (const DetectorRow& row : places) {
    rows.push_back({maps[row.map].data + row.offset, row.stride});
  }
  return rows;
}

bool before(const Candidate& a, const Candidate& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.label != b.label ? a.label < b.label : a.anchor < b.anchor;
}

// Leaves the `most` best ones from `begin` on, in no order; 0: all.
void keep_best(std::vector<Candidate>& candidates, std::size_t begin, std::int64_t most) {
  const auto wanted = static_cast<std::size_t>(most);
  if (wanted == 0 || candidates.size() - begin <= wanted) return;
  const auto first = candidates.begin() + static_cast<std::ptrdiff_t>(begin);
  std::nth_element(first, first + most, candidates.end(), before);
  candidates.resize(begin + wanted);
}

}  // namespace

std::vector<Detection> detect(const std::vector<DetectorMap>& maps,
                              const std::vector<Anchor>& anchors, const DetectionRule& rule) {
  const std::vector<DetectorRow> places = detector_rows(maps, rule.classes);
  const std::vector<Row> rows = rows_of(maps, places);
  if (rows.size() != anchors.size()) {
    throw Error(concat("[detect] maps have ", rows.size(), " anchors; expected ", anchors.size()));
  }
  std::vector<Candidate> heap;
  std::size_t first = 0;  // anchor of the map
  for (const DetectorMap& map : maps) {
    const std::size_t begin = heap.size();
    add_candidates(map, first, rule, heap);
    keep_best(heap, begin, rule.per_map);
    first += static_cast<std::size_t>(map.size.height * map.size.width * map.anchors);
  }
  // The best of all classes first: what suppresses a box has been seen before it, and the rest need
  // not be sorted, decoded or compared once there are as many boxes as wanted.
  const auto later = [](const Candidate& a, const Candidate& b) { return before(b, a); };
  std::make_heap(heap.begin(), heap.end(), later);
  struct Class {
    std::int64_t seen = 0;
    std::vector<Box> kept;
  };
  std::vector<Class> classes(static_cast<std::size_t>(rule.classes));
  std::vector<Detection> result;
  while (!heap.empty() && result.size() < static_cast<std::size_t>(rule.most)) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Class& own = classes[static_cast<std::size_t>(best.label)];
    if (own.seen++ >= rule.candidates) continue;
    const Box box = decoded(rows[best.anchor], anchors[best.anchor], rule);
    if (rule.clip && !(box[2] > box[0] && box[3] > box[1])) continue;
    if (covered(box, own.kept, rule.overlap)) continue;
    own.kept.push_back(box);
    result.push_back({box, best.score, best.label});
  }
  return result;
}

}  // namespace mobileone
