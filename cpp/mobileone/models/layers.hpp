// Layers that the architectures share.
#pragma once

#include <string>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// A square kernel that keeps the size at stride 1.
inline Conv2d same_conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                        std::int64_t groups, bool bias) {
  return {in,     out, {kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2}, {1, 1},
          groups, bias};
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
