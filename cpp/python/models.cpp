// Architectures: graphs from keyword arguments, published variants, seeded weights.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "bindings.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/models/mobileone.hpp"
#include "mobileone/models/mobilevit.hpp"
#include "mobileone/models/plain_cnn.hpp"

namespace mobileone::python {

namespace {

using Widths = std::vector<std::int64_t>;
using BlockWidths = std::map<std::string, std::int64_t>;

Graph make_mobileone(std::int64_t stem_width, Widths widths, Widths depths,
                     std::int64_t num_conv_branches, BlockWidths se_widths,
                     std::int64_t num_classes, std::int64_t in_channels, bool inference) {
  return mobileone_graph({in_channels, num_classes, stem_width, std::move(widths),
                          std::move(depths), num_conv_branches, std::move(se_widths), inference});
}

Graph make_plain_cnn(std::string activation, bool squeeze_excite, bool skip,
                     std::int64_t num_classes, std::int64_t in_channels, std::int64_t stem_width,
                     std::optional<Widths> widths, std::optional<Widths> strides,
                     std::int64_t reduction, std::int64_t groups) {
  PlainCnnConfig config;
  config.in_channels = in_channels;
  config.num_classes = num_classes;
  config.stem_width = stem_width;
  if (widths) config.widths = std::move(*widths);
  if (strides) config.strides = std::move(*strides);
  config.activation = std::move(activation);
  config.squeeze_excite = squeeze_excite;
  config.skip = skip;
  config.reduction = reduction;
  config.groups = groups;
  return plain_cnn_graph(config);
}

Graph make_mobilevit(std::int64_t stem_width, Widths widths, Widths depths,
                     Widths transformer_widths, Widths ffn_widths, Widths transformer_depths,
                     double expansion, std::int64_t head_width, std::int64_t heads, Extent patch,
                     double dropout, double ffn_dropout, double classifier_dropout,
                     std::int64_t num_classes, std::int64_t in_channels, bool inference) {
  MobileViTConfig config;
  config.in_channels = in_channels;
  config.num_classes = num_classes;
  config.stem_width = stem_width;
  config.widths = std::move(widths);
  config.depths = std::move(depths);
  config.transformer_widths = std::move(transformer_widths);
  config.ffn_widths = std::move(ffn_widths);
  config.transformer_depths = std::move(transformer_depths);
  config.expansion = expansion;
  config.head_width = head_width;
  config.heads = heads;
  config.patch = patch;
  config.dropout = dropout;
  config.ffn_dropout = ffn_dropout;
  config.classifier_dropout = classifier_dropout;
  config.inference = inference;
  return mobilevit_graph(config);
}

py::dict mobilevit_variant_fields() {
  py::dict result;
  for (const auto& [name, config] : mobilevit_variants()) {
    py::dict entry;
    entry["stem_width"] = config.stem_width;
    entry["widths"] = config.widths;
    entry["depths"] = config.depths;
    entry["transformer_widths"] = config.transformer_widths;
    entry["ffn_widths"] = config.ffn_widths;
    entry["transformer_depths"] = config.transformer_depths;
    entry["expansion"] = config.expansion;
    entry["head_width"] = config.head_width;
    entry["heads"] = config.heads;
    entry["patch"] = std::vector<std::int64_t>(config.patch.begin(), config.patch.end());
    result[py::str(name)] = entry;
  }
  return result;
}

py::dict variants() {
  py::dict result;
  for (const auto& [name, config] : mobileone_variants()) {
    py::dict entry;
    entry["stem_width"] = config.stem_width;
    entry["widths"] = config.widths;
    entry["depths"] = config.depths;
    entry["num_conv_branches"] = config.num_conv_branches;
    entry["se_widths"] = config.se_widths;
    result[py::str(name)] = entry;
  }
  return result;
}

BlockWidths squeeze_excitation_widths(std::int64_t stem_width, Widths widths, Widths depths,
                                      const Widths& se_depths) {
  MobileOneConfig config;
  config.stem_width = stem_width;
  config.widths = std::move(widths);
  config.depths = std::move(depths);
  add_squeeze_excitation(config, se_depths);
  return config.se_widths;
}

PyNetwork make_initialized(const Graph& graph, std::uint64_t seed) {
  const py::gil_scoped_release release;
  auto network = std::make_shared<Network>();
  network->graph = graph;
  network->weights = initialize(graph, seed);
  return {std::move(network)};
}

}  // namespace

void bind_models(py::module_& module) {
  module.def("mobileone_graph", &make_mobileone, py::kw_only(), py::arg("stem_width"),
             py::arg("widths"), py::arg("depths"), py::arg("num_conv_branches") = 1,
             py::arg("se_widths") = BlockWidths{}, py::arg("num_classes") = 1000,
             py::arg("in_channels") = 3, py::arg("inference") = false,
             "The graph of a MobileOne net; ValueError names a bad field.");
  const MobileViTConfig mobilevit;
  module.def("mobilevit_graph", &make_mobilevit, py::kw_only(), py::arg("stem_width"),
             py::arg("widths"), py::arg("depths"), py::arg("transformer_widths"),
             py::arg("ffn_widths"), py::arg("transformer_depths"), py::arg("expansion"),
             py::arg("head_width"), py::arg("heads") = mobilevit.heads,
             py::arg("patch") = mobilevit.patch, py::arg("dropout") = mobilevit.dropout,
             py::arg("ffn_dropout") = mobilevit.ffn_dropout,
             py::arg("classifier_dropout") = mobilevit.classifier_dropout,
             py::arg("num_classes") = mobilevit.num_classes,
             py::arg("in_channels") = mobilevit.in_channels, py::arg("inference") = false,
             "The graph of a MobileViT; ValueError names a bad field.");
  module.def("mobilevit_variants", &mobilevit_variant_fields,
             "The published variants: name -> keyword arguments of mobilevit_graph.");
  const PlainCnnConfig plain;
  module.def("plain_cnn_graph", &make_plain_cnn, py::kw_only(),
             py::arg("activation") = plain.activation,
             py::arg("squeeze_excite") = plain.squeeze_excite, py::arg("skip") = plain.skip,
             py::arg("num_classes") = plain.num_classes, py::arg("in_channels") = plain.in_channels,
             py::arg("stem_width") = plain.stem_width, py::arg("widths") = py::none(),
             py::arg("strides") = py::none(), py::arg("reduction") = plain.reduction,
             py::arg("groups") = plain.groups,
             "The 30-layer network of the paper's Tables 2 and 3; ValueError names a bad field.");
  module.def("plain_cnn_activations", &plain_cnn_activations,
             "What `activation` of plain_cnn_graph may be.");
  module.def("mobileone_variants", &variants,
             "The published variants: name -> keyword arguments of mobileone_graph.");
  module.def("squeeze_excitation_widths", &squeeze_excitation_widths, py::arg("stem_width"),
             py::arg("widths"), py::arg("depths"), py::arg("se_depths"),
             "se_widths for SE in the last n pairs of each stage, squeezed to floor(C / 16).");
  module.def("initialize", &make_initialized, py::arg("graph"), py::arg("seed"),
             "A network with He-normal convolutions and fresh batch norms.");
}

}  // namespace mobileone::python
