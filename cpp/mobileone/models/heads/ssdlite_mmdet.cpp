#include "mobileone/models/heads/ssdlite_mmdet.hpp"

#include "mobileone/models/heads/backbone.hpp"
#include "mobileone/models/heads/conv_norm.hpp"

namespace mobileone {

namespace {

constexpr const char* kWhere = "[ssdlite_mmdet] ";
constexpr std::size_t kFurtherMaps = 4;
constexpr std::int64_t kAnchors = 6, kCoordinates = 4;

void check(const SsdLiteMmdetConfig& config) {
  check_fields(config, kWhere);
  check_eps(kWhere, "eps", config.eps);
  if (config.widths.size() != kFurtherMaps) {
    throw Error(
        concat(kWhere, "widths has ", config.widths.size(), " maps; expected ", kFurtherMaps));
  }
}

class Builder {
 public:
  Builder(const Graph& backbone, const SsdLiteMmdetConfig& config)
      : config_(config),
        style_{config.eps, config.inference, ActivationKind::relu6, "bn"},
        graph_(backbone_of(backbone, kWhere)) {}

  Graph build() && {
    std::vector<Level> maps{level_of(graph_, 16, kWhere), level_of(graph_, 32, kWhere)};
    for (std::size_t i = 0; i < kFurtherMaps; ++i) maps.push_back(further(i, maps.back()));
    for (std::size_t map = 0; map < maps.size(); ++map) {
      add_head(map, maps[map], "scores", "bbox_head.cls_convs.", config_.num_classes);
      add_head(map, maps[map], "offsets", "bbox_head.reg_convs.", kCoordinates);
    }
    return std::move(graph_);
  }

 private:
  Level further(std::size_t number, const Level& map) {
    const std::string name = concat("neck.extra_layers.", number, ".");
    const std::int64_t out = config_.widths[number], half = out / 2;
    NodeId last = convolution(name + "0", map.channels, half, 1, 1, 1, map.node);
    last = convolution(name + "1.depthwise_conv", half, half, 3, 2, half, last);
    last = convolution(name + "1.pointwise_conv", half, out, 1, 1, 1, last);
    graph_.features.push_back(last);
    return {last, out, 2 * map.stride};
  }

  NodeId convolution(const std::string& name, std::int64_t in, std::int64_t out,
                     std::int64_t kernel, std::int64_t stride, std::int64_t groups, NodeId input) {
    const Conv2d conv = same_conv(in, out, kernel, stride, groups, false);
    return add_conv_norm(graph_, style_, name, conv, true, input);
  }

  // `numbers` of each anchor.
  void add_head(std::size_t number, const Level& map, const char* key, const std::string& prefix,
                std::int64_t numbers) {
    const std::string name = concat(prefix, number, ".");
    const std::int64_t in = map.channels;
    NodeId last = convolution(name + "0", in, in, 3, 1, in, map.node);
    last = graph_.add(name + "1", same_conv(in, kAnchors * numbers, 1, 1, 1, true), {last});
    const std::string result = concat(key, number);
    if (graph_.output < 0) {
      graph_.output = last;
      graph_.output_key = result;
    } else {
      graph_.further_outputs.push_back({result, last});
    }
  }

  const SsdLiteMmdetConfig& config_;
  const HeadStyle style_;
  Graph graph_;
};

}  // namespace

Graph ssdlite_mmdet_graph(const Graph& backbone, const SsdLiteMmdetConfig& config) {
  check(config);
  return Builder(backbone, config).build();
}

}  // namespace mobileone
