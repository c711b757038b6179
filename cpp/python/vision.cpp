// Maps of segmenters and detectors to classes of pixels, and to boxes.
#include <pybind11/stl.h>

#include <cstdint>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/vision/detect.hpp"
#include "mobileone/vision/label_map.hpp"

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
                  std::int64_t most) {
  if (maps.empty() || maps[0].ndim() != 4 || classes < 1 || candidates < 1 || most < 1) {
    throw Error(concat("[detect] ", maps.size(), " maps, classes ", classes, ", candidates ",
                       candidates, ", most ", most, "; expected at least 1 of each, 4-d maps"));
  }
  if (anchors.ndim() != 2 || anchors.shape(1) != 4) {
    throw Error(concat("[detect] anchors have ", anchors.ndim(), " dimensions; expected [n, 4]"));
  }
  std::vector<Anchor> places(static_cast<std::size_t>(anchors.shape(0)));
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::copy_n(anchors.data() + 4 * i, 4, places[i].begin());
  }
  const DetectionRule rule{classes, background, 0.1, 0.2, score, candidates, overlap, most};
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

py::array_t<std::int64_t> kept_boxes(const Doubles& boxes, double threshold) {
  if (boxes.ndim() != 2 || boxes.shape(1) != 4) {
    throw Error(concat("[nms] boxes have ", boxes.ndim(), " dimensions; expected [n, 4]"));
  }
  std::vector<Box> given(static_cast<std::size_t>(boxes.shape(0)));
  for (std::size_t i = 0; i < given.size(); ++i) {
    std::copy_n(boxes.data() + 4 * i, 4, given[i].begin());
  }
  const std::vector<std::size_t> kept = suppress(given, threshold);
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
      py::arg("most"),
      "Per image (boxes, scores, labels) of a detector's maps, by falling scores; boxes are\n"
      "(left, top, right, bottom) in units of the image's sides, not clipped.");
  module.def("suppress_boxes", &kept_boxes, py::arg("boxes"), py::arg("threshold"),
             "The numbers of the boxes that no earlier one of them overlaps by more than that.");
}

}  // namespace mobileone::python
