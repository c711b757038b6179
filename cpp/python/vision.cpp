// Maps of segmenters and detectors to classes of pixels, and to boxes.
#include <pybind11/stl.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/vision/detect.hpp"
#include "mobileone/vision/label_map.hpp"
#include "mobileone/vision/multibox.hpp"

namespace mobileone::python {

namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;

template <typename Label>
py::array filled_labels(const Logits& logits, bool align_corners, std::int64_t rows,
                        std::int64_t columns) {
  py::array_t<Label> labels({rows, columns});
  Label* data = labels.mutable_data();
  const GilRelease release;
  label_map(logits, align_corners, rows, columns, data);
  return labels;
}

py::array labels_of(const Floats& logits, std::int64_t rows, std::int64_t columns,
                    bool align_corners) {
  if (logits.ndim() != 3 || logits.size() == 0 || logits.shape(0) > 65536) {
    throw Error(concat("[label_map] logits have ", logits.ndim(), " dimensions and ", logits.size(),
                       " elements; expected [classes, height, width] of 1 to 65536 classes"));
  }
  if (rows < 1 || columns < 1) {
    throw Error(concat("[label_map] size is ", rows, " x ", columns, "; expected at least 1 x 1"));
  }
  const Logits view{logits.data(), logits.shape(0), logits.shape(1), logits.shape(2)};
  return logits.shape(0) <= 256 ? filled_labels<std::uint8_t>(view, align_corners, rows, columns)
                                : filled_labels<std::uint16_t>(view, align_corners, rows, columns);
}

py::array_t<float> anchors_of(const std::vector<std::pair<std::int64_t, std::int64_t>>& sizes,
                              std::vector<std::vector<double>> ratios, double smallest,
                              double largest) {
  std::vector<MapSize> maps;
  for (const auto& [height, width] : sizes) maps.push_back({height, width});
  const auto anchors = make_anchors({smallest, largest, std::move(ratios)}, maps);
  py::array_t<float> result({static_cast<py::ssize_t>(anchors.size()), py::ssize_t{4}});
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    std::copy(anchors[i].begin(), anchors[i].end(), result.mutable_data() + 4 * i);
  }
  return result;
}

using Labels = py::array_t<std::int64_t, py::array::c_style>;

std::vector<Anchor> to_anchors(const Floats& anchors, const char* where) {
  if (anchors.ndim() != 2 || anchors.shape(1) != 4) {
    throw Error(
        concat("[", where, "] anchors have ", anchors.ndim(), " dimensions; expected [n, 4]"));
  }
  std::vector<Anchor> result(static_cast<std::size_t>(anchors.shape(0)));
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::copy_n(anchors.data() + 4 * i, 4, result[i].begin());
  }
  return result;
}

std::vector<Box> to_boxes(const Doubles& boxes, const char* where) {
  if (boxes.ndim() != 2 || boxes.shape(1) != 4) {
    throw Error(concat("[", where, "] boxes have ", boxes.ndim(), " dimensions; expected [n, 4]"));
  }
  std::vector<Box> result(static_cast<std::size_t>(boxes.shape(0)));
  for (std::size_t i = 0; i < result.size(); ++i) {
    std::copy_n(boxes.data() + 4 * i, 4, result[i].begin());
  }
  return result;
}

py::tuple to_arrays(const std::vector<Detection>& found) {
  const auto count = static_cast<py::ssize_t>(found.size());
  Doubles boxes({count, py::ssize_t{4}}), scores(count);
  py::array_t<std::int64_t> labels(count);
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::copy(found[i].box.begin(), found[i].box.end(), boxes.mutable_data() + 4 * i);
    scores.mutable_data()[i] = found[i].score;
    labels.mutable_data()[i] = found[i].label;
  }
  return py::make_tuple(boxes, scores, labels);
}

// The maps of one image, of arrays [N, anchors * (4 + classes), height, width].
std::vector<DetectorMap> maps_of(const std::vector<Floats>& maps, py::ssize_t image,
                                 std::int64_t numbers) {
  std::vector<DetectorMap> result;
  for (const Floats& map : maps) {
    if (map.ndim() != 4 || map.shape(0) != maps[0].shape(0) || map.shape(1) % numbers != 0) {
      throw Error(concat("[detect] maps have ", map.ndim(), " dimensions; expected [",
                         maps[0].shape(0), ", a multiple of ", numbers, ", height, width]"));
    }
    const float* data = map.data() + image * map.shape(1) * map.shape(2) * map.shape(3);
    result.push_back({data, map.shape(1) / numbers, {map.shape(2), map.shape(3)}});
  }
  return result;
}

py::list boxes_of(const std::vector<Floats>& maps, const Floats& anchors, std::int64_t classes,
                  std::int64_t background, double score, std::int64_t candidates, double overlap,
                  std::int64_t most, std::int64_t per_map, bool clip, double growth) {
  if (maps.empty() || maps[0].ndim() != 4 || classes < 1 || candidates < 1 || most < 1) {
    throw Error(concat("[detect] ", maps.size(), " maps, classes ", classes, ", candidates ",
                       candidates, ", most ", most, "; expected at least 1 of each, 4-d maps"));
  }
  const std::vector<Anchor> places = to_anchors(anchors, "detect");
  if (background < 0 || background >= classes || per_map < 0) {
    throw Error(concat("[detect] background ", background, ", per_map ", per_map,
                       "; expected 0 to ", classes - 1, ", at least 0"));
  }
  const DetectionRule rule{classes, background, 0.1,     0.2,  score, candidates,
                           overlap, most,       per_map, clip, growth};
  std::vector<std::vector<DetectorMap>> images;
  for (py::ssize_t i = 0; i < maps[0].shape(0); ++i)
    images.push_back(maps_of(maps, i, 4 + classes));
  std::vector<std::vector<Detection>> found;
  {
    const GilRelease release;
    for (const auto& image : images) found.push_back(detect(image, places, rule));
  }
  py::list result;
  for (const auto& image : found) result.append(to_arrays(image));
  return result;
}

py::tuple matched_anchors(const Doubles& boxes, const Labels& labels, const Floats& anchors,
                          std::int64_t background, double least) {
  const std::vector<Box> given = to_boxes(boxes, "match_anchors");
  if (labels.ndim() != 1 || labels.size() != boxes.shape(0)) {
    throw Error(concat("[match_anchors] ", labels.size(), " labels; expected ", boxes.shape(0)));
  }
  MultiboxRule rule{0, background};
  rule.overlap = least;
  const std::vector<std::int64_t> classes(labels.data(), labels.data() + labels.size());
  const auto targets = match_anchors(given, classes, to_anchors(anchors, "match_anchors"), rule);
  const auto count = static_cast<py::ssize_t>(targets.size());
  Labels found(count);
  Floats offsets({count, py::ssize_t{4}});
  for (std::size_t i = 0; i < targets.size(); ++i) {
    found.mutable_data()[i] = targets[i].label;
    std::copy_n(targets[i].offsets, 4, offsets.mutable_data() + 4 * i);
  }
  return py::make_tuple(found, offsets);
}

double loss_of(const std::vector<Floats>& maps, const Labels& labels, const Floats& offsets,
               std::int64_t classes, std::int64_t background, double negatives,
               double label_smoothing, std::vector<Floats> gradients) {
  if (maps.empty() || maps[0].ndim() != 4 || classes < 2 || gradients.size() != maps.size()) {
    throw Error(concat("[multibox_loss] ", maps.size(), " maps, ", gradients.size(),
                       " gradients, classes ", classes, "; expected 4-d maps, as many of both"));
  }
  const py::ssize_t batch = maps[0].shape(0);
  if (labels.ndim() != 2 || labels.shape(0) != batch || offsets.ndim() != 3 ||
      offsets.shape(0) != batch || offsets.shape(1) != labels.shape(1) || offsets.shape(2) != 4) {
    throw Error(concat("[multibox_loss] labels of ", labels.ndim(), " dimensions, offsets of ",
                       offsets.ndim(), "; expected [", batch, ", n] and [", batch, ", n, 4]"));
  }
  std::vector<std::vector<DetectorMap>> images;
  std::vector<std::vector<AnchorTarget>> targets;
  std::vector<std::vector<float*>> places(static_cast<std::size_t>(batch));
  for (py::ssize_t image = 0; image < batch; ++image) {
    images.push_back(maps_of(maps, image, 4 + classes));
    std::vector<AnchorTarget>& own = targets.emplace_back();
    for (py::ssize_t a = 0; a < labels.shape(1); ++a) {
      AnchorTarget target{labels.at(image, a), {}};
      if (target.label < 0 || target.label >= classes) {
        throw Error(
            concat("[multibox_loss] label ", target.label, "; expected 0 to ", classes - 1));
      }
      std::copy_n(offsets.data(image, a), 4, target.offsets);
      own.push_back(target);
    }
    for (std::size_t map = 0; map < maps.size(); ++map) {
      if (gradients[map].size() != maps[map].size()) {
        throw Error(concat("[multibox_loss] gradient ", map, " has ", gradients[map].size(),
                           " elements; expected ", maps[map].size()));
      }
      places[static_cast<std::size_t>(image)].push_back(gradients[map].mutable_data() +
                                                        image * (maps[map].size() / batch));
    }
  }
  const MultiboxRule rule{classes, background, 0.1, 0.2, 0.5, negatives, label_smoothing};
  const GilRelease release;
  return multibox_loss(images, targets, rule, places);
}

py::array_t<std::int64_t> kept_boxes(const Doubles& boxes, double threshold) {
  const std::vector<std::size_t> kept = suppress(to_boxes(boxes, "nms"), threshold);
  py::array_t<std::int64_t> result(static_cast<py::ssize_t>(kept.size()));
  std::copy(kept.begin(), kept.end(), result.mutable_data());
  return result;
}

}  // namespace

void bind_vision(py::module_& module) {
  module.def(
      "label_map", &labels_of, py::arg("logits"), py::arg("rows"), py::arg("columns"),
      py::arg("align_corners"),
      "The class with the largest bilinearly interpolated logit at each pixel, uint8 (uint16\n"
      "of more than 256 classes) [rows, columns]; logits: float32 [classes, h, w].");
  module.def("ssd_anchors", &anchors_of, py::arg("sizes"), py::arg("ratios"), py::arg("smallest"),
             py::arg("largest"),
             "Anchors (x, y, w, h) float32 [n, 4] of maps of these (height, width), each with its\n"
             "aspect ratios, in units of the image's sides.");
  module.def(
      "detect_boxes", &boxes_of, py::arg("maps"), py::arg("anchors"), py::arg("classes"),
      py::arg("background"), py::arg("score"), py::arg("candidates"), py::arg("overlap"),
      py::arg("most"), py::arg("per_map") = 0, py::arg("clip") = false,
      py::arg("growth") = std::numeric_limits<double>::infinity(),
      "Per image (boxes, scores, labels) of a detector's maps, by falling scores; boxes are\n"
      "(left, top, right, bottom) in units of the image's sides, not clipped.");
  module.def("match_anchors", &matched_anchors, py::arg("boxes"), py::arg("labels"),
             py::arg("anchors"), py::arg("background"), py::arg("overlap"),
             "(labels int64 [n], offsets float32 [n, 4]): what each anchor stands for; boxes are\n"
             "(left, top, right, bottom) in units of the image's sides.");
  module.def(
      "multibox_loss", &loss_of, py::arg("maps"), py::arg("labels"), py::arg("offsets"),
      py::arg("classes"), py::arg("background"), py::arg("negatives"), py::arg("label_smoothing"),
      py::arg("gradients"),
      "A detector's loss, whose gradient for each map is written: cross entropy, with so many\n"
      "hard negatives for each anchor of an object, and smooth L1.");
  module.def("suppress_boxes", &kept_boxes, py::arg("boxes"), py::arg("threshold"),
             "The numbers of the boxes that no earlier one of them overlaps by more than that.");
}

}  // namespace mobileone::python
