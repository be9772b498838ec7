// A layer type of somebody else's in the configuration: read, checked, printed and documented like ours.
#include <gmock/gmock.h>

#include <stdexcept>

#include "tests/unit/config/config_support.h"
#include "tests/unit/custom/cubic.h"
#include "trainer/config/custom_layers.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

CustomLayer shift() {
  CustomLayer type = cubic();
  type.word = "shift";
  type.default_name = "move";
  type.meaning = "moves the image";
  type.attributes = {
      {.name = "rows", .kind = WholeAttribute{.least = -8, .most = 8}, .meaning = "how far down"},
      {.name = "share",
       .kind = NumberAttribute{.least = 0, .most = 1, .above = true, .otherwise = 0.5},
       .meaning = "of the channels"},
      {.name = "wrap", .kind = FlagAttribute{.otherwise = false}, .meaning = "what leaves comes in again"},
      {.name = "edge",
       .kind = WordAttribute{.words = {"zero", "copy"}, .otherwise = "copy"},
       .meaning = "fill"},
  };
  return type;
}

class CustomConfig : public testing::Test {
 protected:
  static void SetUpTestSuite() { register_layer(shift()); }
};

Config read(const std::string& list) {
  return parse("model:\n  layers: " + list);
}
std::string wrong(const std::string& list) {
  return mistakes("model:\n  layers: " + list);
}

void expect_attributes(const LayerSpec& layer, std::int64_t rows, double share, bool wrap, const char* edge) {
  const Attributes& attributes = std::get<CustomSpec>(layer.layer).attributes;
  EXPECT_EQ(attributes.whole("rows"), rows);
  EXPECT_EQ(attributes.number("share"), share);
  EXPECT_EQ(attributes.flag("wrap"), wrap);
  EXPECT_EQ(attributes.word("edge"), edge);
}

TEST_F(CustomConfig, AttributesAreReadAndDefaultsFilledIn) {
  const Config config =
      read("[{shift: {rows: 2}}, {shift: {rows: -3, share: 1, wrap: true, edge: zero}, name: mine}]");
  EXPECT_EQ(config.model.layers[0].name, "move1");
  EXPECT_EQ(config.model.layers[1].name, "mine");
  expect_attributes(config.model.layers[0], 2, 0.5, false, "copy");
  expect_attributes(config.model.layers[1], -3, 1, true, "zero");
}

TEST_F(CustomConfig, AnAttributeOfAnotherKindIsTheProgramsMistake) {
  const Config config = read("[{shift: {rows: 2}}]");
  const Attributes& attributes = std::get<CustomSpec>(config.model.layers[0].layer).attributes;
  EXPECT_THROW(attributes.number("rows"), std::logic_error);
  EXPECT_THROW(attributes.whole("columns"), std::logic_error);
}

TEST_F(CustomConfig, WhatIsWrittenReadsBack) {
  const std::string list = "[{residual: {body: [{shift: {rows: -3, share: 0.25, wrap: true, edge: zero}}]}}]";
  const Config config = read(list);
  EXPECT_EQ(to_yaml(parse(to_yaml(config))), to_yaml(config));
  EXPECT_EQ(result_json(from_result_json(result_json(config))), result_json(config));
  EXPECT_THAT(result_json(config),
              HasSubstr(R"("shift":{"edge":"zero","rows":-3,"share":0.25,"wrap":true})"));
  EXPECT_THAT(keys_markdown(), HasSubstr("| `shift` | | | | | moves the image |\n"
                                         "| | `rows` | whole number | -8 to 8 | needed | how far down |\n"));
}

TEST_F(CustomConfig, MistakesAreToldLikeThoseOfOtherLayers) {
  EXPECT_EQ(wrong("[shift]"), "a.yaml:2:12: model.layers[0].shift: 'rows' is missing");
  EXPECT_EQ(wrong("[{shift: {rows: 9}}]"),
            "a.yaml:2:27: model.layers[0].shift.rows: expected a whole number, -8 to 8; found '9'");
  EXPECT_EQ(wrong("[{shift: {rows: 1, share: 0}}]"),
            "a.yaml:2:37: model.layers[0].shift.share: expected a number, above 0 to 1; found '0'");
  EXPECT_EQ(wrong("[{shift: {rows: 1, wrap: 1}}]"),
            "a.yaml:2:36: model.layers[0].shift.wrap: expected true or false; found '1'");
  EXPECT_EQ(
      wrong("[{shift: {rows: 1, edge: zeros}}]"),
      "a.yaml:2:36: model.layers[0].shift.edge: expected one of zero, copy; found 'zeros'; did you mean "
      "'zero'?");
  EXPECT_EQ(wrong("[{shift: {row: 1, rows: 1}}]"),
            "a.yaml:2:21: model.layers[0].shift: unknown attribute 'row'; did you mean 'rows'?");
  EXPECT_EQ(wrong("[shfit]"), "a.yaml:2:12: model.layers[0]: unknown layer 'shfit'; did you mean 'shift'?");
}

std::string refusal(const std::function<void(CustomLayer&)>& spoil) {
  CustomLayer type = shift();
  type.word = "other";
  spoil(type);
  try {
    register_layer(type);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST_F(CustomConfig, ATypeThatCannotWorkIsNotRegistered) {
  EXPECT_EQ(refusal([](CustomLayer& type) { type.word = "conv2d"; }),
            "layer type 'conv2d': its word is taken");
  EXPECT_EQ(refusal([](CustomLayer& type) { type.word = "shift"; }), "layer type 'shift': its word is taken");
  EXPECT_EQ(refusal([](CustomLayer& type) { type.word = "name"; }), "layer type 'name': its word is taken");
  EXPECT_THAT(refusal([](CustomLayer& type) { type.word = "a.b"; }), HasSubstr("letters, digits"));
  EXPECT_THAT(refusal([](CustomLayer& type) { type.default_name = "a b"; }), HasSubstr("default name"));
  EXPECT_THAT(refusal([](CustomLayer& type) { type.make = nullptr; }), HasSubstr("no `make`"));
  EXPECT_THAT(refusal([](CustomLayer& type) { type.attributes[1].name = "rows"; }),
              HasSubstr("two attributes are called 'rows'"));
  EXPECT_THAT(refusal([](CustomLayer& type) { type.attributes[0].name = ""; }), HasSubstr("an attribute"));
  EXPECT_THAT(refusal([](CustomLayer& type) { type.attributes[3].kind = WordAttribute{}; }),
              HasSubstr("'edge' has no words"));
  EXPECT_THAT(refusal([](CustomLayer& type) { type.attributes[0].kind = WholeAttribute{.otherwise = -1}; }),
              HasSubstr("the default of 'rows' is none of its values"));
  EXPECT_THAT(mistakes("model: {layers: [other]}"), HasSubstr("unknown layer 'other'"));
}

TEST_F(CustomConfig, ALayerOfATypeThatNobodyRegisteredIsNotWritten) {
  Config config = read("[relu]");
  config.model.layers[0].layer = default_spec(std::make_shared<const CustomLayer>(shift()));
  EXPECT_THROW(to_yaml(config), std::logic_error);
}

}  // namespace
}  // namespace lockstep
