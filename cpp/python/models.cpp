// Architectures: graphs from keyword arguments, published variants, seeded weights.
#include <pybind11/stl.h>

#include "attributes.hpp"
#include "bindings.hpp"
#include "gil.hpp"
#include "mobileone/models/heads/deeplabv3.hpp"
#include "mobileone/models/heads/ssdlite.hpp"
#include "mobileone/models/heads/ssdlite_mmdet.hpp"
#include "mobileone/models/initialize.hpp"
#include "mobileone/models/mobileone.hpp"
#include "mobileone/models/mobilevit.hpp"
#include "mobileone/models/plain_cnn.hpp"

namespace mobileone::python {

namespace {

// The graph of keyword arguments, which are the fields of a Config.
template <typename Config, Graph (*graph_of)(const Config&)>
void bind_graph_of(py::module_& module, const std::string& family, const char* doc) {
  const std::string where = "[" + family + "] ";
  module.def((family + "_graph").c_str(),
             [where](const py::kwargs& fields) {
               return graph_of(from_attributes<Config>(to_attributes(fields, where), where));
             },
             doc);
  module.def(
      (family + "_config").c_str(), [] { return to_dict(attributes_of(Config{})); },
      "The keyword arguments of the function that makes the graph, and their initial values.");
}

// The graph of a backbone's graph and of keyword arguments, which are the fields of a Config.
template <typename Config, Graph (*graph_of)(const Graph&, const Config&)>
void bind_head(py::module_& module, const std::string& head, const char* doc) {
  const std::string where = "[" + head + "] ";
  module.def((head + "_graph").c_str(),
             [where](const Graph& backbone, const py::kwargs& fields) {
               return graph_of(backbone,
                               from_attributes<Config>(to_attributes(fields, where), where));
             },
             py::arg("backbone"), doc);
  module.def(
      (head + "_config").c_str(), [] { return to_dict(attributes_of(Config{})); },
      "The keyword arguments of the function that makes the graph, and their initial values.");
}

// Name -> keyword arguments, without those that the variants leave open.
template <typename Config>
py::dict fields_of(const std::vector<std::pair<std::string, Config>>& variants) {
  py::dict result;
  for (const auto& [name, config] : variants) {
    py::dict fields = to_dict(attributes_of(config));
    for (const char* open : Config::kOpen) fields.attr("pop")(open);
    result[py::str(name)] = fields;
  }
  return result;
}

IntegersByName squeeze_excitation_widths(std::int64_t stem_width, Integers widths, Integers depths,
                                         const Integers& se_depths) {
  MobileOneConfig config;
  config.stem_width = stem_width;
  config.widths = std::move(widths);
  config.depths = std::move(depths);
  add_squeeze_excitation(config, se_depths);
  return config.se_widths;
}

PyNetwork make_initialized(const Graph& graph, std::uint64_t seed) {
  const GilRelease release;
  auto network = std::make_shared<Network>();
  network->graph = graph;
  network->weights = initialize(graph, seed);
  return {std::move(network)};
}

}  // namespace

void bind_models(py::module_& module) {
  bind_graph_of<MobileOneConfig, mobileone_graph>(
      module, "mobileone", "The graph of a MobileOne net; ValueError names a bad field.");
  bind_graph_of<MobileViTConfig, mobilevit_graph>(
      module, "mobilevit", "The graph of a MobileViT; ValueError names a bad field.");
  bind_graph_of<PlainCnnConfig, plain_cnn_graph>(
      module, "plain_cnn",
      "The 30-layer network of the paper's Tables 2 and 3; ValueError names a bad field.");
  bind_head<DeepLabV3Config, deeplabv3_graph>(
      module, "deeplabv3",
      "DeepLabV3 on a classifier's graph of the same form; ValueError names a bad field.");
  bind_head<SsdLiteConfig, ssdlite_graph>(
      module, "ssdlite",
      "SSDLite on a classifier's graph of the same form; ValueError names a bad field.");
  bind_head<SsdLiteMmdetConfig, ssdlite_mmdet_graph>(
      module, "ssdlite_mmdet",
      "mmdet's SSDLite on a classifier's graph of the same form; ValueError names a bad field.");
  module.def(
      "mobileone_variants", [] { return fields_of(mobileone_variants()); },
      "The published variants: name -> keyword arguments of mobileone_graph.");
  module.def(
      "mobilevit_variants", [] { return fields_of(mobilevit_variants()); },
      "The published variants: name -> keyword arguments of mobilevit_graph.");
  module.def("plain_cnn_activations", &plain_cnn_activations,
             "What `activation` of plain_cnn_graph may be.");
  module.def("squeeze_excitation_widths", &squeeze_excitation_widths, py::arg("stem_width"),
             py::arg("widths"), py::arg("depths"), py::arg("se_depths"),
             "se_widths for SE in the last n pairs of each stage, squeezed to floor(C / 16).");
  module.def("initialize", &make_initialized, py::arg("graph"), py::arg("seed"),
             "A network with He-normal convolutions and fresh batch norms.");
}

}  // namespace mobileone::python
