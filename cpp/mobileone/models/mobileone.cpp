#include "mobileone/models/mobileone.hpp"

#include <algorithm>
#include <set>

#include "mobileone/base/error.hpp"
#include "mobileone/models/layers.hpp"

namespace mobileone {

namespace {

struct Block {
  std::string name;
  std::int64_t in_channels, out_channels, kernel, stride, groups;
  std::int64_t num_conv_branches;
  std::int64_t se_width;  // 0: none
  std::int64_t dilation;
  bool skip;  // whether there is an identity branch
};

Conv2d conv_of(const Block& block, std::int64_t kernel, bool bias) {
  return same_conv(block.in_channels, block.out_channels, kernel, block.stride, block.groups, bias,
                   block.dilation);
}

NodeId add_conv_bn(Graph& graph, const Block& block, const std::string& name, std::int64_t kernel,
                   double eps, NodeId input) {
  const NodeId conv = graph.add(name + ".conv", conv_of(block, kernel, false), {input});
  return graph.add(name + ".bn", BatchNorm{block.out_channels, eps}, {conv});
}

// Equation (1)'s branches and their sum: skip, scale, then k conv branches, as the authors add
// them.
NodeId add_branches(Graph& graph, const Block& block, double eps, NodeId input) {
  std::vector<NodeId> branches;
  if (block.skip) {
    branches.push_back(
        graph.add(block.name + ".rbr_skip", BatchNorm{block.out_channels, eps}, {input}));
  }
  if (block.kernel > 1) {
    branches.push_back(add_conv_bn(graph, block, block.name + ".rbr_scale", 1, eps, input));
  }
  for (std::int64_t k = 0; k < block.num_conv_branches; ++k) {
    branches.push_back(
        add_conv_bn(graph, block, concat(block.name, ".rbr_conv.", k), block.kernel, eps, input));
  }
  return graph.add(block.name + ".sum", Add{}, branches);
}

NodeId add_squeeze_excitation(Graph& graph, const Block& block, NodeId input) {
  const std::int64_t width = block.out_channels;
  const NodeId gate =
      add_gate(graph, {width, block.se_width, width, ActivationKind::sigmoid, "sigmoid"},
               block.name + ".se", input);
  return graph.add(block.name + ".se.scale", Multiply{}, {input, gate});
}

NodeId add_block(Graph& graph, const Block& block, const MobileOneConfig& config, NodeId input) {
  NodeId last = config.inference ? graph.add(block.name + ".reparam_conv",
                                             conv_of(block, block.kernel, true), {input})
                                 : add_branches(graph, block, config.eps, input);
  if (block.se_width > 0) last = add_squeeze_excitation(graph, block, last);
  return graph.add(block.name + ".relu", Activation{config.activation}, {last});
}

Block stem_block(const MobileOneConfig& config) {
  const std::int64_t se_width = value_of(config.se_widths, "stage0", 0);
  const bool skip = config.in_channels == config.stem_width && config.stem_stride == 1;
  return {"stage0", config.in_channels, config.stem_width, 3, config.stem_stride, 1, 1, se_width, 1,
          skip};
}

// The first pair of a stage changes its size, also where its stride is 1 to spare it: no skip.
Block depthwise_block(const MobileOneConfig& config, std::size_t stage, std::int64_t pair,
                      std::int64_t width) {
  const std::string name = concat("stage", stage + 1, ".", 2 * pair);
  const std::int64_t stride = config.strides.empty() ? 2 : config.strides[stage];
  return {name,
          width,
          width,
          3,
          pair == 0 ? stride : 1,
          width,
          config.num_conv_branches,
          value_of(config.se_widths, name, 0),
          value_of(config.dilations, name, 1),
          pair > 0};
}

Block pointwise_block(const MobileOneConfig& config, std::size_t stage, std::int64_t pair,
                      std::int64_t width) {
  const std::string name = concat("stage", stage + 1, ".", 2 * pair + 1);
  const std::int64_t out = config.widths[stage];
  return {name,
          width,
          out,
          1,
          1,
          1,
          config.num_conv_branches,
          value_of(config.se_widths, name, 0),
          1,
          width == out};
}

// Every depthwise block, by the name that its weights begin with.
std::set<std::string> depthwise_names(const MobileOneConfig& config) {
  std::set<std::string> names;
  for (std::size_t stage = 0; stage < config.depths.size(); ++stage) {
    for (std::int64_t pair = 0; pair < config.depths[stage]; ++pair) {
      names.insert(concat("stage", stage + 1, ".", 2 * pair));
    }
  }
  return names;
}

std::set<std::string> block_names(const MobileOneConfig& config) {
  std::set<std::string> names{"stage0"};
  for (std::size_t stage = 0; stage < config.depths.size(); ++stage) {
    for (std::int64_t block = 0; block < 2 * config.depths[stage]; ++block) {
      names.insert(concat("stage", stage + 1, ".", block));
    }
  }
  return names;
}

void check(const MobileOneConfig& config) {
  check_fields(config, "[mobileone] ");
  if (config.widths.empty() || config.widths.size() != config.depths.size()) {
    throw Error(concat("[mobileone] widths has ", config.widths.size(), " stages and depths ",
                       config.depths.size(), "; expected the same number, at least 1"));
  }
  check_eps("[mobileone] ", "eps", config.eps);
  check_strides("[mobileone] ", config.strides, config.widths.size());
  const std::set<std::string> blocks = block_names(config);
  for (const auto& [block, width] : config.se_widths) {
    if (!blocks.count(block)) {
      throw Error(concat("[mobileone] se_widths names ", block, ", which is not a block; expected ",
                         "one of the ", blocks.size(), " from stage0 to ", *blocks.rbegin()));
    }
  }
  check_blocks("[mobileone] ", "dilations", config.dilations, depthwise_names(config));
}

// Published variants: stem = min(64, int(64 w0)), stages = int(64 w0), int(128 w1), ...
MobileOneConfig variant(std::vector<std::int64_t> widths, std::vector<std::int64_t> depths,
                        std::int64_t branches) {
  MobileOneConfig config;
  config.stem_width = std::min<std::int64_t>(64, widths[0]);
  config.widths = std::move(widths);
  config.depths = std::move(depths);
  config.num_conv_branches = branches;
  return config;
}

}  // namespace

void add_squeeze_excitation(MobileOneConfig& config, const std::vector<std::int64_t>& se_depths) {
  if (se_depths.size() != config.depths.size()) {
    throw Error(concat("[mobileone] se_depths has ", se_depths.size(), " stages; expected ",
                       config.depths.size()));
  }
  std::int64_t width = config.stem_width;
  for (std::size_t stage = 0; stage < se_depths.size(); ++stage) {
    if (se_depths[stage] < 0 || se_depths[stage] > config.depths[stage]) {
      throw Error(concat("[mobileone] se_depths[", stage, "] is ", se_depths[stage],
                         "; expected 0 to ", config.depths[stage]));
    }
    for (std::int64_t pair = 0; pair < config.depths[stage]; ++pair) {
      const std::int64_t out = config.widths[stage];
      if (pair >= config.depths[stage] - se_depths[stage]) {
        const std::string prefix = concat("stage", stage + 1, ".");
        config.se_widths[concat(prefix, 2 * pair)] = std::max<std::int64_t>(1, width / 16);
        config.se_widths[concat(prefix, 2 * pair + 1)] = std::max<std::int64_t>(1, out / 16);
      }
      width = out;
    }
  }
}

const std::vector<std::pair<std::string, MobileOneConfig>>& mobileone_variants() {
  static const auto variants = [] {
    MobileOneConfig s4 = variant({192, 448, 896, 2048}, {2, 8, 10, 1}, 1);
    add_squeeze_excitation(s4, {0, 0, 5, 1});
    return std::vector<std::pair<std::string, MobileOneConfig>>{
        {"mobileone_s0", variant({48, 128, 256, 1024}, {2, 8, 10, 1}, 4)},
        {"mobileone_s1", variant({96, 192, 512, 1280}, {2, 8, 10, 1}, 1)},
        {"mobileone_s2", variant({96, 256, 640, 2048}, {2, 8, 10, 1}, 1)},
        {"mobileone_s3", variant({128, 320, 768, 2048}, {2, 8, 10, 1}, 1)},
        {"mobileone_s4", s4},
        {"mobileone_mu0", variant({48, 64, 128, 384}, {2, 4, 6, 1}, 3)},
        {"mobileone_mu1", variant({48, 96, 192, 512}, {2, 6, 8, 1}, 2)},
        {"mobileone_mu2", variant({48, 128, 256, 512}, {2, 6, 8, 1}, 2)},
    };
  }();
  return variants;
}

Graph mobileone_graph(const MobileOneConfig& config) {
  check(config);
  Graph graph;
  NodeId last = graph.add("input", Input{config.in_channels}, {});
  last = add_block(graph, stem_block(config), config, last);
  graph.features.push_back(last);

  std::int64_t width = config.stem_width;
  for (std::size_t stage = 0; stage < config.widths.size(); ++stage) {
    for (std::int64_t pair = 0; pair < config.depths[stage]; ++pair) {
      last = add_block(graph, depthwise_block(config, stage, pair, width), config, last);
      last = add_block(graph, pointwise_block(config, stage, pair, width), config, last);
      width = config.widths[stage];
    }
    graph.features.push_back(last);
  }
  graph.output = graph.add("gap", GlobalAvgPool{}, {last});
  if (config.num_classes > 0) {
    graph.output = graph.add("linear", Linear{width, config.num_classes, true}, {graph.output});
  }
  return graph;
}

}  // namespace mobileone
