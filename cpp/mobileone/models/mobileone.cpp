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
};

Conv2d conv_of(const Block& block, std::int64_t kernel, bool bias) {
  return same_conv(block.in_channels, block.out_channels, kernel, block.stride, block.groups, bias);
}

NodeId add_conv_bn(Graph& graph, const Block& block, const std::string& name, std::int64_t kernel,
                   NodeId input) {
  const NodeId conv = graph.add(name + ".conv", conv_of(block, kernel, false), {input});
  return graph.add(name + ".bn", BatchNorm{block.out_channels}, {conv});
}

// Equation (1)'s branches and their sum: skip, scale, then k conv branches, as the authors add
// them.
NodeId add_branches(Graph& graph, const Block& block, NodeId input) {
  std::vector<NodeId> branches;
  if (block.in_channels == block.out_channels && block.stride == 1) {
    branches.push_back(graph.add(block.name + ".rbr_skip", BatchNorm{block.out_channels}, {input}));
  }
  if (block.kernel > 1) {
    branches.push_back(add_conv_bn(graph, block, block.name + ".rbr_scale", 1, input));
  }
  for (std::int64_t k = 0; k < block.num_conv_branches; ++k) {
    branches.push_back(
        add_conv_bn(graph, block, concat(block.name, ".rbr_conv.", k), block.kernel, input));
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

NodeId add_block(Graph& graph, const Block& block, bool inference, NodeId input) {
  NodeId last = inference ? graph.add(block.name + ".reparam_conv",
                                      conv_of(block, block.kernel, true), {input})
                          : add_branches(graph, block, input);
  if (block.se_width > 0) last = add_squeeze_excitation(graph, block, last);
  return graph.add(block.name + ".relu", Activation{ActivationKind::relu}, {last});
}

std::int64_t se_width(const MobileOneConfig& config, const std::string& block) {
  const auto found = config.se_widths.find(block);
  return found == config.se_widths.end() ? 0 : found->second;
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
  const std::set<std::string> blocks = block_names(config);
  for (const auto& [block, width] : config.se_widths) {
    if (!blocks.count(block)) {
      throw Error(concat("[mobileone] se_widths names ", block, ", which is not a block; expected ",
                         "one of the ", blocks.size(), " from stage0 to ", *blocks.rbegin()));
    }
  }
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
  const Block stem{"stage0", config.in_channels,        config.stem_width, 3, 2, 1,
                   1,        se_width(config, "stage0")};
  last = add_block(graph, stem, config.inference, last);
  graph.features.push_back(last);

  std::int64_t width = config.stem_width;
  for (std::size_t stage = 0; stage < config.widths.size(); ++stage) {
    for (std::int64_t pair = 0; pair < config.depths[stage]; ++pair) {
      const std::string depthwise = concat("stage", stage + 1, ".", 2 * pair);
      const std::string pointwise = concat("stage", stage + 1, ".", 2 * pair + 1);
      const std::int64_t out = config.widths[stage];
      last = add_block(graph,
                       {depthwise, width, width, 3, pair == 0 ? 2 : 1, width,
                        config.num_conv_branches, se_width(config, depthwise)},
                       config.inference, last);
      last = add_block(
          graph,
          {pointwise, width, out, 1, 1, 1, config.num_conv_branches, se_width(config, pointwise)},
          config.inference, last);
      width = out;
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
