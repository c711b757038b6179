// Convolutions of heads, with their batch norms in the train-time form.
#pragma once

#include <string>

#include "mobileone/graph/graph.hpp"
#include "mobileone/models/layers.hpp"

namespace mobileone {

// What all convolutions of a head share.
struct HeadStyle {
  double eps;      // of batch norms
  bool inference;  // a bias in the place of every batch norm
  ActivationKind activation = ActivationKind::relu;
  const char* norm = "norm";  // what batch norms are called
};

// name.conv, its batch norm and, where wanted, the activation, name.act; `conv` has no bias of its
// own.
inline NodeId add_conv_norm(Graph& graph, const HeadStyle& style, const std::string& name,
                            Conv2d conv, bool activation, NodeId input) {
  conv.bias = style.inference;
  NodeId last = graph.add(name + ".conv", conv, {input});
  if (!style.inference) {
    last =
        graph.add(concat(name, ".", style.norm), BatchNorm{conv.out_channels, style.eps}, {last});
  }
  return activation ? graph.add(name + ".act", Activation{style.activation}, {last}) : last;
}

}  // namespace mobileone
