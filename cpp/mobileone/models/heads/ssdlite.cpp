#include "mobileone/models/heads/ssdlite.hpp"

#include "mobileone/models/heads/backbone.hpp"
#include "mobileone/models/heads/conv_norm.hpp"

namespace mobileone {

namespace {

constexpr const char* kWhere = "[ssdlite] ";
constexpr std::size_t kMaps = 6;
constexpr std::int64_t kCoordinates = 4;

void check(const SsdLiteConfig& config) {
  check_fields(config, kWhere);
  check_eps(kWhere, "eps", config.eps);
  for (const auto& [field, list] :
       {std::pair{"widths", &config.widths}, {"anchors", &config.anchors}}) {
    if (list->size() != kMaps) {
      throw Error(concat(kWhere, field, " has ", list->size(), " maps; expected ", kMaps));
    }
  }
}

struct Map {
  NodeId node;
  std::int64_t channels;
};

class Builder {
 public:
  Builder(const Graph& backbone, const SsdLiteConfig& config)
      : config_(config),
        style_{config.eps, config.inference},
        graph_(backbone_of(backbone, kWhere)) {}

  Graph build() && {
    std::vector<Map> maps{level_at(16), level_at(32)};
    for (std::int64_t stride : {64, 128, 256}) maps.push_back(half(maps.back(), stride));
    maps.push_back(pixel(maps.back()));
    for (std::size_t map = 0; map < kMaps; ++map) add_head(map, maps[map]);
    return std::move(graph_);
  }

 private:
  Map level_at(std::int64_t stride) const {
    const Level level = level_of(graph_, stride, kWhere);
    return {level.node, level.channels};
  }

  // A depthwise 3x3 convolution and a batch norm; its activation comes after the pointwise one.
  NodeId depthwise(const std::string& name, Map map, std::int64_t stride) {
    const Conv2d conv = same_conv(map.channels, map.channels, 3, stride, map.channels, false);
    return add_conv_norm(graph_, style_, name + ".dw_conv.block", conv, false, map.node);
  }

  Map half(Map map, std::int64_t stride) {
    const std::string name = concat("extra_layers.os_", stride);
    const std::int64_t out = config_.widths[graph_.features.size() - backbone_levels_ + 2];
    const NodeId last = depthwise(name, map, 2);
    const Conv2d conv = same_conv(map.channels, out, 1, 1, 1, false);
    const NodeId result = add_conv_norm(graph_, style_, name + ".pw_conv.block", conv, true, last);
    graph_.features.push_back(result);
    return {result, out};
  }

  // The mean of a map through a 1x1 convolution without a norm or a bias.
  Map pixel(Map map) {
    const std::string name = "extra_layers.os_-1.";
    const std::int64_t out = config_.widths.back();
    NodeId last = graph_.add(name + "0", GlobalAvgPool{}, {map.node});
    last = graph_.add(name + "1.block.conv", same_conv(map.channels, out, 1, 1, 1, false), {last});
    return {graph_.add(name + "1.block.act", Activation{ActivationKind::relu}, {last}), out};
  }

  void add_head(std::size_t number, Map map) {
    const std::string name = concat("ssd_heads.", number, ".");
    const std::int64_t width = config_.widths[number];
    const bool last = number + 1 == kMaps;
    if (!last && map.channels != width) {
      const Conv2d conv = same_conv(map.channels, width, 1, 1, 1, false);
      const std::string block = name + "proj_layer.block";
      map = {add_conv_norm(graph_, style_, block, conv, true, map.node), width};
    }
    const std::string layer = name + "loc_cls_layer";
    const std::int64_t out = config_.anchors[number] * (kCoordinates + config_.num_classes);
    const Conv2d conv = same_conv(map.channels, out, 1, 1, 1, true);
    const NodeId input = last ? map.node : depthwise(layer, map, 1);
    const NodeId result =
        graph_.add(layer + (last ? ".block.conv" : ".pw_conv.block.conv"), conv, {input});
    const std::string key = concat("map", number);
    if (number == 0) {
      graph_.output = result;
      graph_.output_key = key;
    } else {
      graph_.further_outputs.push_back({key, result});
    }
  }

  const SsdLiteConfig& config_;
  const HeadStyle style_;
  Graph graph_;
  const std::size_t backbone_levels_ = graph_.features.size();
};

}  // namespace

Graph ssdlite_graph(const Graph& backbone, const SsdLiteConfig& config) {
  check(config);
  return Builder(backbone, config).build();
}

}  // namespace mobileone
