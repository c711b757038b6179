// Graphs from names, as text and as pictures: they come back the same, and damage is refused.
#include "mobileone/graph/json.hpp"

#include <gtest/gtest.h>

#include <random>

#include "mobileone/base/error.hpp"
#include "mobileone/graph/builder.hpp"
#include "mobileone/graph/dot.hpp"
#include "mobileone/graph/json_text.hpp"
#include "mobileone/models/mobileone.hpp"
#include "mobileone/models/mobilevit.hpp"
#include "mobileone/models/plain_cnn.hpp"

namespace mobileone {
namespace {

template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

std::vector<Graph> graphs() {
  std::vector<Graph> result;
  for (const auto& [name, config] : mobileone_variants()) result.push_back(mobileone_graph(config));
  for (auto [name, config] : mobilevit_variants()) {
    config.dropout = 0.1;
    result.push_back(mobilevit_graph(config));
  }
  for (const std::string& activation : plain_cnn_activations()) {
    PlainCnnConfig config;
    config.activation = activation;
    result.push_back(plain_cnn_graph(config));
  }
  return result;
}

TEST(GraphJson, EveryNetworkComesBackTheSame) {
  for (const Graph& graph : graphs()) {
    const std::string text = to_json(graph);
    const Graph back = graph_from_json(text);
    EXPECT_EQ(back, graph);
    EXPECT_EQ(to_json(back), text);
  }
}

TEST(GraphJson, EqualityKnowsEveryPart) {
  const Graph graph = mobileone_graph(mobileone_variants()[0].second);
  const std::string text = to_json(graph);
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    const std::size_t at = other.find(from);
    EXPECT_NE(at, other.npos) << from;
    return graph_from_json(other.replace(at, from.size(), to));
  };
  EXPECT_EQ(changed("\"stride\": [2, 2]", "\"stride\": 2"), graph);
  EXPECT_NE(changed("\"stride\": [2, 2]", "\"stride\": [2, 1]"), graph);
  EXPECT_NE(changed("\"eps\": 1e-05", "\"eps\": 1e-06"), graph);
  EXPECT_NE(changed("{\"output\": \"linear\"}", "{\"logits\": \"linear\"}"), graph);
  EXPECT_NE(changed("{\"output\": \"linear\"}", "{\"output\": \"linear\", \"pooled\": \"gap\"}"),
            graph);
  EXPECT_NE(changed("\"features\": [\"stage0.relu\", ", "\"features\": ["), graph);
}

TEST(GraphJson, NamesMayHoldAnything) {
  GraphBuilder builder;
  const std::string name = "a \"b\"\\ \n\t\x01 \xc3\xa4";
  builder.add(name, "Input", {}, {{"channels", std::int64_t{3}}});
  builder.output(name, "\"");
  const Graph graph = builder.build();
  EXPECT_EQ(graph_from_json(to_json(graph)), graph);
  EXPECT_EQ(std::get<std::string>(parse_json("\"\\u00e4\\ud83d\\ude00\\/\"").value),
            "\xc3\xa4\xf0\x9f\x98\x80/");
}

std::string refused(const std::string& text) {
  return message_of([&] { graph_from_json(text); });
}

TEST(GraphJson, SyntaxErrorsSayWhere) {
  EXPECT_EQ(refused(""), "[json] line 1, column 1: found the end of the text; expected a value");
  EXPECT_EQ(refused("{\"a\": 1,\n  }"),
            "[json] line 2, column 3: found '}'; expected a key in quotes");
  EXPECT_EQ(refused("[1, 2"),
            "[json] line 1, column 6: found the end of the text; expected ',' or ']'");
  EXPECT_EQ(refused("{} {}"), "[json] line 1, column 4: found '{'; expected the end of the text");
  EXPECT_EQ(
      refused("{\"a\": 1, \"a\": 2}"),
      "[json] line 1, column 10: found '\"'; expected another key than \"a\", which came before");
  for (const char* wrong : {"01",          "+1",       "1.",        ".5",
                            "1e",          "-",        "tru",       "nul",
                            "'a'",         "\"\\x\"",  "\"\\u12\"", "\"\\ud800\"",
                            "\"\\ude00\"", "\"a\nb\"", "1e999",     "9223372036854775808",
                            "NaN",         "[1 2]",    "{1: 2}",    "{\"a\" 1}",
                            "\""}) {
    EXPECT_NE(refused(wrong).find("[json] line"), std::string::npos) << wrong;
  }
  EXPECT_NE(refused(std::string(100000, '[')).find("at most 32 levels"), std::string::npos);
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += concat("\"k", i, "\": 0, ");
  for (const int again : {0, 40, 99}) {
    EXPECT_NE(refused(concat(many, "\"k", again, "\": 0}")).find(concat("key than \"k", again)),
              std::string::npos);
  }
}

std::string with_node(const std::string& node) {
  return R"({"format": "mobileone.graph", "version": 1, "nodes": [
    {"name": "x", "kind": "Input", "inputs": [], "attributes": {}}, )" +
         node + R"(], "outputs": {"output": "x"}, "features": []})";
}

TEST(GraphJson, OtherErrorsNameThePlace) {
  EXPECT_EQ(refused("[]"), "[graph] the text is a list; expected an object");
  EXPECT_EQ(refused("{}"), "[graph] format is missing");
  EXPECT_EQ(refused(R"({"format": "onnx", "version": 1})"),
            "[graph] format is onnx; expected mobileone.graph");
  EXPECT_EQ(refused(R"({"format": "mobileone.graph", "version": 2})"),
            "[graph] version is 2; expected 1");
  EXPECT_EQ(refused(with_node("3")), "[graph] nodes[1] is 3; expected an object");
  EXPECT_EQ(refused(with_node(R"({"name": "y", "kind": "Add", "inputs": ["x"]})")),
            "[graph] nodes[1].attributes is missing");
  EXPECT_EQ(refused(with_node(R"({"name": "y", "kind": "Add", "inputs": [7], "attributes": {}})")),
            "[graph] nodes[1].inputs[0] is 7; expected a string");
  EXPECT_EQ(
      refused(with_node(R"({"name": "y", "kind": "Add", "inputs": ["z"], "attributes": {}})")),
      "[graph] y: input z is not an earlier node");
  EXPECT_EQ(refused(with_node(
                R"({"name": "y", "kind": "Dropout", "inputs": ["x"], "attributes": {"p": "no"}})")),
            "[Dropout] y: p is \"no\"; expected a number");
  EXPECT_EQ(refused(with_node(
                R"({"name": "y", "kind": "Dropout", "inputs": ["x"], "attributes": {"q": 0}})")),
            "[Dropout] y: there is no q; expected one of p");
  EXPECT_NE(refused(with_node(R"({"name": "y", "kind": "Tanh", "inputs": [], "attributes": {}})"))
                .find("[graph] y: there is no operator Tanh; expected one of Input, Activation"),
            std::string::npos);
}

// Every text that a few changed bytes make of a real one is either a graph or an Error.
TEST(GraphJson, SurvivesDamage) {
  PlainCnnConfig config;
  config.widths = {8, 12};
  config.strides = {1, 2};
  config.activation = "dynamic_relu_b";
  const std::string text = to_json(plain_cnn_graph(config));
  const std::string_view bytes = "{}[]\",:0123456789eE+-.\\utfn\n \xff";
  std::mt19937 random(1);
  int graphs = 0, errors = 0;
  for (int round = 0; round < 8000; ++round) {
    std::string damaged = text;
    for (unsigned change = random() % 3 + 1; change > 0; --change) {
      const std::size_t at = random() % damaged.size();
      switch (random() % 4) {
        case 0:
          damaged.erase(at, random() % 20);
          break;
        case 1:
          damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 40));
          break;
        default:
          damaged[at] = bytes[random() % bytes.size()];
      }
    }
    try {
      const Graph graph = graph_from_json(damaged);
      EXPECT_EQ(graph_from_json(to_json(graph)), graph);
      ++graphs;
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(graphs, 100);
  EXPECT_GT(errors, 1000);
}

TEST(GraphBuilder, MakesWhatGraphMakes) {
  GraphBuilder builder;
  builder.add("input", "Input", {}, {});
  const Attributes attributes{{"in_channels", std::int64_t{3}},
                              {"out_channels", std::int64_t{8}},
                              {"kernel_size", std::int64_t{3}},
                              {"padding", Integers{1, 1}},
                              {"bias", true}};
  builder.add("conv", "Conv2d", {"input"}, attributes);
  builder.add("act", "Activation", {"conv"}, {{"kind", std::string("silu")}});
  builder.feature("conv");
  EXPECT_EQ(message_of([&] { builder.build(); }),
            "[graph] there is no output; expected at least one");
  builder.output("act", "map");
  builder.output("conv", "before");

  Graph graph;
  const NodeId input = graph.add("input", Input{}, {});
  const Conv2d conv{3, 8, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true};
  const NodeId map = graph.add("conv", conv, {input});
  graph.output = graph.add("act", Activation{ActivationKind::silu}, {map});
  graph.output_key = "map";
  graph.features = {map};
  graph.further_outputs = {{"before", map}};
  EXPECT_EQ(builder.build(), graph);
  EXPECT_EQ(graph.outputs(), (std::vector<Output>{{"map", graph.output}, {"before", map}}));
}

TEST(GraphBuilder, NamesWhatIsWrong) {
  GraphBuilder builder;
  builder.add("input", "Input", {}, {});
  builder.output("input", "a");
  EXPECT_EQ(message_of([&] { builder.output("input", "a"); }), "[graph] two outputs are named a");
  EXPECT_EQ(message_of([&] { builder.output("b", "b"); }), "[graph] there is no node named b");
  EXPECT_EQ(message_of([&] { builder.feature("b"); }), "[graph] there is no node named b");
  const auto conv = [&](const std::string& name, const Attribute& value) {
    return message_of([&] {
      builder.add(
          "y", "Conv2d", {"input"},
          {{"in_channels", std::int64_t{3}}, {"out_channels", std::int64_t{8}}, {name, value}});
    });
  };
  EXPECT_EQ(conv("groups", std::int64_t{0}), "[Conv2d] y: groups is 0; expected at least 1");
  EXPECT_EQ(conv("stride", Integers{1, 0}), "[Conv2d] y: stride[1] is 0; expected at least 1");
  EXPECT_EQ(conv("stride", Integers{1}),
            "[Conv2d] y: stride is [1]; expected two integers: height and width");
  EXPECT_EQ(conv("bias", std::int64_t{1}), "[Conv2d] y: bias is 1; expected true or false");
  EXPECT_EQ(conv("groups", true), "[Conv2d] y: groups is true; expected an integer");
  EXPECT_EQ(conv("out_channels", std::int64_t{1} << 40),
            "[Conv2d] y: out_channels is 1099511627776; expected at most 2147483647");
  std::string activations;
  for (const ActivationFunction& row : kActivations) {
    activations += std::string(activations.empty() ? "" : ", ") + row.name;
  }
  EXPECT_EQ(message_of([&] {
              builder.add("y", "Activation", {"input"}, {{"kind", std::string("tanhh")}});
            }),
            "[Activation] y: kind is \"tanhh\"; expected one of " + activations);
  EXPECT_EQ(message_of([&] {
              builder.add("y", "BatchNorm", {"input"},
                          {{"channels", std::int64_t{3}}, {"eps", std::stod("inf")}});
            }),
            "[BatchNorm] y: eps is inf; expected a finite number");
}

TEST(GraphShapes, InputsAreNamed) {
  Graph graph;
  const NodeId image = graph.add("image", Input{3}, {});
  const NodeId gate = graph.add("gate", Input{3}, {});
  graph.output = graph.add("product", Multiply{}, {image, gate});
  EXPECT_EQ(graph.inputs(), (std::vector<NodeId>{image, gate}));
  const ShapesByName shapes{{"image", {2, 3, 5, 7}}, {"gate", {2, 3, 1, 1}}};
  EXPECT_EQ(infer_shapes(graph, shapes).back(), (Shape{2, 3, 5, 7}));
  EXPECT_EQ(message_of([&] { infer_shapes(graph, Shape{2, 3, 5, 7}); }),
            "[graph] there are 2 inputs (image, gate); expected one, or a shape for each");
  EXPECT_EQ(message_of([&] { infer_shapes(graph, ShapesByName{{"image", {2, 3, 5, 7}}}); }),
            "[graph] input gate has no shape");
  EXPECT_EQ(message_of([&] { infer_shapes(graph, ShapesByName{{"mask", {2, 3, 5, 7}}}); }),
            "[graph] there is no input mask; expected one of the 2 inputs (image, gate)");
}

TEST(GraphDot, ShowsNodesAttributesAndEdges) {
  Graph graph;
  const NodeId input = graph.add("in \"x\"", Input{4}, {});
  const NodeId map = graph.add("map", Resize{{2, 2}}, {input});
  graph.output = graph.add("back", Resize{}, {map, input});
  graph.features = {map};
  EXPECT_EQ(to_dot(graph),
            "digraph {\n"
            "  node [shape = box, fontname = \"sans-serif\"]\n"
            "  0 [label = \"in \\\"x\\\"\\nInput\\nchannels = 4\"]\n"
            "  1 [label = \"map\\nResize\\nmultiple = [2, 2]\\nscale = [1, 1]\", penwidth = 2]\n"
            "  0 -> 1\n"
            "  2 [label = \"back\\nResize\\nmultiple = [1, 1]\\nscale = [1, 1]\", penwidth = 2, "
            "xlabel = \"output\"]\n"
            "  1 -> 2\n"
            "  0 -> 2 [style = dashed]\n"
            "}\n");
}

}  // namespace
}  // namespace mobileone
