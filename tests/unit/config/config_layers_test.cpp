#include <fmt/format.h>
#include <gmock/gmock.h>

#include "config_support.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<LayerSpec> layers(const std::string& list) {
  return parse("model:\n  layers: " + list).model.layers;
}

std::vector<std::string> names(const std::vector<LayerSpec>& list) {
  std::vector<std::string> result;
  result.reserve(list.size());
  for (const LayerSpec& layer : list) result.push_back(layer.name);
  return result;
}

// The list stands in line 2 from column 11 on.
std::string wrong(const std::string& list) {
  return mistakes("model:\n  layers: " + list);
}

TEST(ConfigLayers, EveryLayerAndAttributeIsRead) {
  const auto list = layers(R"([
    {conv2d: {out: 16, kernel: 5, stride: 2, padding: 1, groups: 4, bias: true}},
    {batch_norm: {affine: false}}, {relu: {}}, {max_pool: {window: 3, stride: 2, padding: 1}},
    {avg_pool: {window: 4}}, {global_avg_pool: {}}, flatten, {dropout: {probability: 0.25}},
    {linear: {out: 10, bias: false}}])");
  ASSERT_EQ(list.size(), 9u);
  const auto& conv = std::get<Conv2dSpec>(list[0].layer);
  EXPECT_EQ(conv.out, 16);
  EXPECT_EQ(conv.kernel, 5);
  EXPECT_EQ(conv.stride, 2);
  EXPECT_EQ(conv.padding, 1);
  EXPECT_EQ(conv.groups, 4);
  EXPECT_TRUE(conv.bias);
  EXPECT_FALSE(std::get<BatchNormSpec>(list[1].layer).affine);
  EXPECT_TRUE(std::holds_alternative<ReluSpec>(list[2].layer));
  EXPECT_EQ(std::get<MaxPoolSpec>(list[3].layer).window, 3);
  EXPECT_EQ(std::get<MaxPoolSpec>(list[3].layer).stride, 2);
  EXPECT_EQ(std::get<MaxPoolSpec>(list[3].layer).padding, 1);
  EXPECT_EQ(std::get<AvgPoolSpec>(list[4].layer).window, 4);
  EXPECT_TRUE(std::holds_alternative<GlobalAvgPoolSpec>(list[5].layer));
  EXPECT_TRUE(std::holds_alternative<FlattenSpec>(list[6].layer));
  EXPECT_EQ(std::get<DropoutSpec>(list[7].layer).probability, 0.25);
  EXPECT_EQ(std::get<LinearSpec>(list[8].layer).out, 10);
  EXPECT_FALSE(std::get<LinearSpec>(list[8].layer).bias);
}

TEST(ConfigLayers, UnnamedOnesAreNumberedForEachKindOfName) {
  EXPECT_THAT(
      names(layers("[{conv2d: {out: 1}}, batch_norm, relu, max_pool, {conv2d: {out: 2}}, batch_norm, relu, "
                   "global_avg_pool, flatten, dropout, {residual: {body: [relu]}}, {linear: {out: 3}}]")),
      ElementsAre("conv1", "bn1", "relu1", "pool1", "conv2", "bn2", "relu2", "pool2", "flatten1", "dropout1",
                  "layer1", "fc1"));
  EXPECT_THAT(names(layers("[{relu: , name: first}, relu]")), ElementsAre("first", "relu2"))
      << "a name given to one does not move the numbers of the others";
}

TEST(ConfigLayers, ResidualBlocksNestAndNumberTheirOwnLists) {
  const auto list = layers(
      "[relu, {residual: {body: [relu, {residual: {body: [relu]}}], shortcut: [{conv2d: {out: 8}}]}, name: "
      "block}]");
  EXPECT_EQ(list[1].name, "block");
  const auto& block = std::get<ResidualSpec>(list[1].layer);
  EXPECT_THAT(names(block.body), ElementsAre("relu1", "layer1"));
  EXPECT_THAT(names(block.shortcut), ElementsAre("conv1"));
  EXPECT_TRUE(std::get<ResidualSpec>(block.body[1].layer).shortcut.empty());
}

struct Wrong {
  const char* list;
  const char* message;
};
class ConfigWrongLayer : public testing::TestWithParam<Wrong> {};

TEST_P(ConfigWrongLayer, IsToldWithItsPlace) {
  EXPECT_EQ(wrong(GetParam().list), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Layers, ConfigWrongLayer,
    testing::Values(
        Wrong{"relu", "a.yaml:2:11: model.layers: expected a list of layers; found 'relu'"},
        Wrong{"[]", "a.yaml:2:11: model.layers: expected at least one layer; found none"},
        Wrong{"[rleu]", "a.yaml:2:12: model.layers[0]: unknown layer 'rleu'; did you mean 'relu'?"},
        Wrong{"[{conv: {out: 3}}]",
              "a.yaml:2:13: model.layers[0]: unknown key 'conv'; did you mean 'conv2d'?"},
        Wrong{"[relu, [relu]]",
              "a.yaml:2:18: model.layers[1]: expected a layer, as in {conv2d: {out: 16}} or relu; found a "
              "list"},
        Wrong{"[{conv2d: {out: 3, kernal: 3}}]",
              "a.yaml:2:30: model.layers[0].conv2d: unknown attribute 'kernal'; did you mean 'kernel'?"},
        Wrong{"[{relu: {slope: 3}}]",
              "a.yaml:2:20: model.layers[0].relu: unknown attribute 'slope'; relu has none"},
        Wrong{"[conv2d]", "a.yaml:2:12: model.layers[0].conv2d: 'out' is missing"},
        Wrong{"[{linear: {bias: true}}]", "a.yaml:2:13: model.layers[0].linear: 'out' is missing"},
        Wrong{"[{residual: {shortcut: []}}]", "a.yaml:2:13: model.layers[0].residual: 'body' is missing"},
        Wrong{"[{conv2d: 16}]",
              "a.yaml:2:21: model.layers[0].conv2d: expected the layer's attributes, a map; found '16'"},
        Wrong{"[{conv2d: {out: 0}}]",
              "a.yaml:2:27: model.layers[0].conv2d.out: expected a whole number, 1 to 1000000; found '0'"},
        Wrong{
            "[{max_pool: {window: 0}}]",
            "a.yaml:2:32: model.layers[0].max_pool.window: expected a whole number, 1 to 1000000; found '0'"},
        Wrong{"[{dropout: {probability: 1}}]",
              "a.yaml:2:36: model.layers[0].dropout.probability: expected a number, 0 to below 1; found '1'"},
        Wrong{"[{residual: {body: []}}]",
              "a.yaml:2:30: model.layers[0].residual.body: expected at least one layer; found none"},
        Wrong{"[{residual: {body: [relu, leru]}}]",
              "a.yaml:2:37: model.layers[0].residual.body[1]: unknown layer 'leru'; did you mean 'relu'?"},
        Wrong{
            "[{relu: {}, flatten: {}}]",
            "a.yaml:2:23: model.layers[0]: one item of the list is one layer; 'flatten' begins a second one"},
        Wrong{"[{name: a}]",
              "a.yaml:2:12: model.layers[0]: which layer? One of conv2d, linear, batch_norm, relu, max_pool, "
              "avg_pool, global_avg_pool, flatten, dropout, residual is missing"},
        Wrong{"[{relu: {}, name: a.b}]",
              "a.yaml:2:29: model.layers[0].name: expected letters, digits and '_'; found 'a.b'"},
        Wrong{"[{conv2d: {out: 1, out: 2}}]", "a.yaml:2:30: model.layers[0].conv2d: duplicate key 'out'"},
        Wrong{
            "[relu, {flatten: {}, name: relu1}]",
            "a.yaml:2:18: model.layers[1]: another layer of this list is called 'relu1' already; give one of "
            "them another 'name'"}));

TEST(ConfigLayers, MistakesOfSeveralLayersAreToldAtOnce) {
  EXPECT_EQ(wrong("\n    - rleu\n    - {conv2d: {kernel: 0}}\n    - flatten\n"),
            "a.yaml:3:7: model.layers[0]: unknown layer 'rleu'; did you mean 'relu'?\n"
            "a.yaml:4:8: model.layers[1].conv2d: 'out' is missing\n"
            "a.yaml:4:25: model.layers[1].conv2d.kernel: expected a whole number, 1 to 1000000; found '0'");
}

TEST(ConfigLayers, ABlockThatContainsItselfIsRefused) {
  EXPECT_THAT(wrong("&all [relu, {residual: {body: *all}}]"), HasSubstr("may be nested 16 deep at most"));
}

TEST(ConfigLayers, AShortFileCannotDescribeAnEndlessNetwork) {
  std::string yaml = "&a0 [relu]";
  std::string list = "[{residual: {body: &a0 [relu, relu]}}";
  for (int i = 1; i < 15; ++i) {
    const std::string block = fmt::format("{{residual: {{body: *a{}}}}}", i - 1);
    list += fmt::format(", {{residual: {{body: &a{} [{}, {}]}}}}", i, block, block);
  }
  EXPECT_THAT(wrong(list + "]"), HasSubstr("a network may have 10000 layers at most"));
}

}  // namespace
}  // namespace lockstep
