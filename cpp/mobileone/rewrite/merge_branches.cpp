#include <algorithm>
#include <map>
#include <numeric>

#include "mobileone/base/error.hpp"
#include "mobileone/rewrite/copy.hpp"
#include "mobileone/rewrite/rewrite.hpp"

namespace mobileone {

namespace {

// Branches can be summed into one kernel when they sample the same places: the same source, stride,
// dilation and position of the kernel's centre.
bool mergeable(const Conv2d& op) { return op.kernel[0] % 2 == 1 && op.kernel[1] % 2 == 1; }

// What all convolutions of one group share. "Reach" is the centre's offset from the padded border.
struct Key {
  NodeId source;
  Extent stride, dilation, reach;
  std::int64_t in_channels, out_channels;
  auto operator<=>(const Key&) const = default;
};

// `dilation` is that of a sum's wider kernels; along an axis of a single tap it has no effect.
Key key_of(const Node& node, const Extent& dilation) {
  const auto& op = std::get<Conv2d>(node.op);
  Key key{node.inputs[0], op.stride, dilation, {}, op.in_channels, op.out_channels};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (op.kernel[axis] > 1) key.dilation[axis] = op.dilation[axis];
    key.reach[axis] = op.padding[axis] - op.kernel[axis] / 2 * op.dilation[axis];
  }
  return key;
}

// Of the first wide kernel among a sum's inputs; 1 where there is none.
Extent dilation_of(const Graph& graph, const Node& sum) {
  Extent dilation{1, 1};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    for (NodeId input : sum.inputs) {
      const auto* conv = std::get_if<Conv2d>(&graph.node(input).op);
      if (conv == nullptr || conv->kernel[axis] == 1) continue;
      dilation[axis] = conv->dilation[axis];
      break;
    }
  }
  return dilation;
}

Conv2d merged_op(const Graph& graph, const Extent& dilation, const std::vector<NodeId>& branches) {
  Conv2d merged = std::get<Conv2d>(graph.node(branches[0]).op);
  for (NodeId branch : branches) {
    const auto& op = std::get<Conv2d>(graph.node(branch).op);
    merged.groups = std::gcd(merged.groups, op.groups);
    for (std::size_t axis = 0; axis < 2; ++axis) {
      if (op.kernel[axis] > merged.kernel[axis]) {
        merged.kernel[axis] = op.kernel[axis];
        merged.padding[axis] = op.padding[axis];
      }
    }
  }
  merged.dilation = dilation;
  merged.bias = true;
  return merged;
}

// Adds a branch's kernel into the merged one: at its centre, and at the input channels of its
// group.
void accumulate(const Conv2d& merged, std::vector<double>& sum, const Conv2d& branch,
                const std::vector<double>& kernel) {
  const std::int64_t wide = merged.in_channels / merged.groups;  // inputs per group
  const std::int64_t narrow = branch.in_channels / branch.groups;
  const std::int64_t top = (merged.kernel[0] - branch.kernel[0]) / 2;
  const std::int64_t left = (merged.kernel[1] - branch.kernel[1]) / 2;
  std::size_t from = 0;
  for (std::int64_t out = 0; out < merged.out_channels; ++out) {
    // First input channel of this output's group, absolute, then relative to the merged group.
    const std::int64_t first = out / (branch.out_channels / branch.groups) * narrow;
    const std::int64_t base = first - out / (merged.out_channels / merged.groups) * wide;
    for (std::int64_t in = 0; in < narrow; ++in) {
      for (std::int64_t y = 0; y < branch.kernel[0]; ++y) {
        for (std::int64_t x = 0; x < branch.kernel[1]; ++x) {
          const std::int64_t at =
              ((out * wide + base + in) * merged.kernel[0] + top + y) * merged.kernel[1] + left + x;
          sum[static_cast<std::size_t>(at)] += kernel[from++];
        }
      }
    }
  }
}

void set_merged_weights(GraphCopy& copy, const std::string& name, const Conv2d& merged,
                        const std::vector<NodeId>& branches) {
  const Network& source = copy.source();
  const Parameter weight = parameters(name, merged)[0];
  std::vector<double> sum(static_cast<std::size_t>(element_count(weight.shape)));
  std::vector<double> bias(static_cast<std::size_t>(merged.out_channels));
  for (NodeId branch : branches) {
    const Node& node = source.graph.node(branch);
    const auto& op = std::get<Conv2d>(node.op);
    accumulate(merged, sum, op, source.weight(node.name + ".weight").to_doubles());
    if (!op.bias) continue;
    const std::vector<double> add = source.weight(node.name + ".bias").to_doubles();
    std::transform(bias.begin(), bias.end(), add.begin(), bias.begin(), std::plus<>());
  }
  copy.set_weight(weight.name, Tensor::from_doubles(weight.shape, sum, DType::float64));
  copy.set_weight(name + ".bias",
                  Tensor::from_doubles({merged.out_channels}, bias, DType::float64));
}

// "stage1.0.sum" -> "stage1.0.reparam_conv"; a sum of another name leaves it to the convolution.
std::string merged_name(const std::string& add_name, std::size_t part, bool whole) {
  if (!whole) return concat(add_name, ".merged.", part);
  const std::size_t dot = add_name.rfind('.') + 1;  // 0 when there is none
  return add_name.substr(dot) == "sum" ? add_name.substr(0, dot) + "reparam_conv" : add_name;
}

using Groups = std::map<Key, std::vector<NodeId>>;

class BranchMerger {
 public:
  explicit BranchMerger(const Network& network)
      : copy_(network), merged_away_(network.graph.nodes().size(), false) {
    for (NodeId id = 0; id < size(); ++id) plan(id);
  }

  Network run() && {
    for (NodeId id = 0; id < size(); ++id) {
      if (merged_away_[static_cast<std::size_t>(id)]) continue;
      if (plans_.count(id)) {
        rewrite_sum(id);
      } else {
        copy_.keep(id);
      }
    }
    return std::move(copy_).finish();
  }

 private:
  NodeId size() const { return static_cast<NodeId>(copy_.source().graph.nodes().size()); }

  // Decides which inputs of an Add are merged: groups of two or more, or a sum of one.
  void plan(NodeId add) {
    const Graph& graph = copy_.source().graph;
    const Node& node = graph.node(add);
    if (!std::holds_alternative<Add>(node.op)) return;
    const Extent dilation = dilation_of(graph, node);
    Groups groups;
    for (NodeId input : node.inputs) {
      const auto* conv = std::get_if<Conv2d>(&graph.node(input).op);
      if (conv && mergeable(*conv) && copy_.only_reader(input) == add) {
        groups[key_of(graph.node(input), dilation)].push_back(input);
      }
    }
    std::erase_if(groups, [&](const auto& group) {
      return group.second.size() < 2 && node.inputs.size() != 1;
    });
    if (groups.empty()) return;
    for (const auto& [key, branches] : groups) {
      for (NodeId branch : branches) merged_away_[static_cast<std::size_t>(branch)] = true;
    }
    plans_[add] = std::move(groups);
  }

  void rewrite_sum(NodeId add) {
    const Node& node = copy_.source().graph.node(add);
    const Groups& groups = plans_.at(add);
    std::size_t merged_inputs = 0;
    for (const auto& [key, branches] : groups) merged_inputs += branches.size();
    const bool whole = groups.size() == 1 && merged_inputs == node.inputs.size();

    std::vector<NodeId> summands;  // new ids
    for (NodeId input : node.inputs) {
      if (!merged_away_[static_cast<std::size_t>(input)]) summands.push_back(copy_.mapped(input));
    }
    for (const auto& [key, branches] : groups) {
      const Conv2d op = merged_op(copy_.source().graph, key.dilation, branches);
      const std::string name = merged_name(node.name, summands.size(), whole);
      summands.push_back(copy_.insert(name, op, {key.source}));
      set_merged_weights(copy_, name, op, branches);
    }
    copy_.map(add, whole ? summands[0] : copy_.graph().add(node.name, node.op, summands));
  }

  GraphCopy copy_;
  std::vector<bool> merged_away_;
  std::map<NodeId, Groups> plans_;
};

}  // namespace

Network merge_branches(const Network& network) { return BranchMerger(network).run(); }

Network round_weights(Network network) {
  for (auto& [name, tensor] : network.weights) {
    if (tensor.dtype() == DType::float64) {
      tensor = Tensor::from_doubles(tensor.shape(), tensor.to_doubles());
    }
  }
  return network;
}

Network fold_and_merge(const Network& network) {
  Network result = fold_batch_norm(network);
  for (std::size_t before = 0; before != result.graph.nodes().size();) {
    before = result.graph.nodes().size();
    result = fold_scales(merge_branches(result));
  }
  return result;
}

Network reparameterize(const Network& network) { return round_weights(fold_and_merge(network)); }

}  // namespace mobileone
