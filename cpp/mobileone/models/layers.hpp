// Layers that the architectures share.
#pragma once

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "mobileone/base/error.hpp"
#include "mobileone/graph/graph.hpp"

namespace mobileone {

// A square kernel that keeps the size at stride 1.
inline Conv2d same_conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                        std::int64_t groups, bool bias, std::int64_t dilation = 1) {
  if (kernel == 1) dilation = 1;
  const std::int64_t padding = kernel / 2 * dilation;
  return {in,     out, {kernel, kernel}, {stride, stride}, {padding, padding}, {dilation, dilation},
          groups, bias};
}

// The number of a map of integers by name; `otherwise` where it has none.
inline std::int64_t value_of(const IntegersByName& values, const std::string& name,
                             std::int64_t otherwise) {
  const auto found = values.find(name);
  return found == values.end() ? otherwise : found->second;
}

// Throws Error, beginning with `where`, unless `eps` can be a norm's.
inline void check_eps(const std::string& where, const char* field, double eps) {
  if (!(eps > 0.0 && std::isfinite(eps))) {
    throw Error(concat(where, field, " is ", eps, "; expected a positive number"));
  }
}

// Throws Error, beginning with `where`, unless there are as many strides as stages, or none.
inline void check_strides(const std::string& where, const std::vector<std::int64_t>& strides,
                          std::size_t stages) {
  if (strides.empty() || strides.size() == stages) return;
  throw Error(
      concat(where, "strides has ", strides.size(), " stages; expected ", stages, ", as widths"));
}

// Throws Error, beginning with `where`, where a field names what is not among the blocks.
inline void check_blocks(const std::string& where, const char* field, const IntegersByName& values,
                         const std::set<std::string>& blocks) {
  for (const auto& [block, value] : values) {
    if (blocks.count(block)) continue;
    throw Error(
        concat(where, field, " names ", block, ", which is not a block it can be given ",
               "for; expected one of the ", blocks.size(),
               blocks.empty() ? "" : concat(" from ", *blocks.begin(), " to ", *blocks.rbegin())));
  }
}

// The gate of squeeze-and-excitation (Hu et al. 2018): pool -> 1x1 -> ReLU -> 1x1 -> activation.
struct Gate {
  std::int64_t channels, squeezed, out;
  ActivationKind kind = ActivationKind::sigmoid;
  std::string kind_name = "gate";  // of the last activation's node
};

// [N, channels, H, W] -> [N, out, 1, 1], under names that begin with `name` and a dot.
inline NodeId add_gate(Graph& graph, const Gate& gate, const std::string& name, NodeId input) {
  NodeId last = graph.add(name + ".pool", GlobalAvgPool{}, {input});
  const Conv2d reduce = same_conv(gate.channels, gate.squeezed, 1, 1, 1, true);
  const Conv2d expand = same_conv(gate.squeezed, gate.out, 1, 1, 1, true);
  last = graph.add(name + ".reduce", reduce, {last});
  last = graph.add(name + ".relu", Activation{ActivationKind::relu}, {last});
  last = graph.add(name + ".expand", expand, {last});
  return graph.add(name + "." + gate.kind_name, Activation{gate.kind}, {last});
}

}  // namespace mobileone
