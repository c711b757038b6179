#include "mobileone/models/heads/deeplabv3.hpp"

#include "mobileone/models/heads/backbone.hpp"
#include "mobileone/models/heads/conv_norm.hpp"

namespace mobileone {

namespace {

constexpr const char* kWhere = "[deeplabv3] ";

void check(const DeepLabV3Config& config) {
  check_fields(config, kWhere);
  check_eps(kWhere, "eps", config.eps);
  if (config.aspp_dilations.empty()) {
    throw Error(concat(kWhere, "aspp_dilations is empty; expected at least one"));
  }
}

// The pooled map through a 1x1 convolution, spread over the size that it was pooled from.
NodeId add_image_pooling(Graph& graph, const HeadStyle& style, const std::string& name,
                         const Conv2d& conv, NodeId input) {
  NodeId last = graph.add(name + ".aspp_pool.global_pool", GlobalAvgPool{}, {input});
  last = add_conv_norm(graph, style, name + ".aspp_pool.conv_1x1.block", conv, true, last);
  return graph.add(name + ".resize", Resize{}, {last, input});
}

NodeId add_aspp(Graph& graph, const DeepLabV3Config& config, std::int64_t in, NodeId input) {
  const HeadStyle style{config.eps, config.inference};
  const std::string aspp = "seg_head.aspp.aspp_layer.";
  const std::int64_t width = config.aspp_width;
  const Conv2d pointwise = same_conv(in, width, 1, 1, 1, false);
  std::vector<NodeId> branches;
  const auto name = [&] { return concat(aspp, "convs.", branches.size()); };
  branches.push_back(add_conv_norm(graph, style, name() + ".block", pointwise, true, input));
  for (std::int64_t dilation : config.aspp_dilations) {
    const Conv2d atrous = same_conv(in, width, 3, 1, 1, false, dilation);
    branches.push_back(add_conv_norm(graph, style, name() + ".block", atrous, true, input));
  }
  branches.push_back(add_image_pooling(graph, style, name(), pointwise, input));
  const NodeId joined = graph.add(aspp + "concat", Concat{}, branches);
  const auto count = static_cast<std::int64_t>(branches.size());
  const Conv2d project = same_conv(count * width, width, 1, 1, 1, false);
  return add_conv_norm(graph, style, aspp + "project.block", project, true, joined);
}

}  // namespace

Graph deeplabv3_graph(const Graph& backbone, const DeepLabV3Config& config) {
  check(config);
  Graph graph = backbone_of(backbone, kWhere);
  const Level top = levels_of(graph).back();
  const NodeId last = add_aspp(graph, config, top.channels, top.node);
  const Conv2d classifier = same_conv(config.aspp_width, config.num_classes, 1, 1, 1, true);
  graph.output = graph.add("seg_head.classifier.classifier.block.conv", classifier, {last});
  graph.output_key = "logits";
  return graph;
}

}  // namespace mobileone
