#include "layers/model/zoo.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "layers/model/graph.h"
#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

ModelOptions options_of(const std::string& name, std::int64_t side, std::int64_t classes) {
  ModelOptions options;
  options.spec.name = name;
  options.input = {.height = side, .width = side, .channels = 3};
  options.classes = classes;
  return options;
}

std::map<std::string, Dims> parameters_of(const std::string& name) {
  const Graph graph = build_graph({.name = name, .layers = {}}, {224, 224, 3}, 1000, 1);
  std::map<std::string, Dims> parameters;
  for (const Node& node : graph.nodes) {
    for (const Parameter& parameter : node.layer->parameters()) parameters[parameter.name] = parameter.dims;
  }
  return parameters;
}

SampleShape output_of(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes) {
    if (node.layer->name() == name) return node.layer->output();
  }
  return {};
}

struct Published {
  const char* name;
  std::int64_t values;   // of all parameters, as torchvision tells them
  std::size_t tensors;   // of parameters
  std::int64_t running;  // means and variances
};

TEST(Zoo, HasTorchvisionsNumbersOfParameters) {
  for (const Published& it :
       {Published{"resnet18", 11'689'512, 62, 9'600}, Published{"resnet34", 21'797'672, 110, 17'024},
        Published{"resnet50", 25'557'032, 161, 53'120}}) {
    const auto parameters = parameters_of(it.name);
    std::int64_t values = 0;
    for (const auto& [name, dims] : parameters) values += elements(dims);
    EXPECT_EQ(values, it.values) << it.name;
    EXPECT_EQ(parameters.size(), it.tensors) << it.name;
    const auto norms = static_cast<std::int64_t>((it.tensors - 2) / 3);
    EXPECT_EQ(state_bytes(options_of(it.name, 224, 1000)), 4 * (it.values + it.running) + 8 * norms)
        << it.name;
  }
}

TEST(Zoo, StridesInTheMiddleOfABottleneck) {
  const Graph graph = build_graph({.name = "resnet50", .layers = {}}, {224, 224, 3}, 1000, 1);
  EXPECT_EQ(output_of(graph, "conv1"), (SampleShape{112, 112, 64}));
  EXPECT_EQ(output_of(graph, "maxpool"), (SampleShape{56, 56, 64}));
  EXPECT_EQ(output_of(graph, "layer1.0.downsample.0"), (SampleShape{56, 56, 256}));
  EXPECT_EQ(output_of(graph, "layer2.0.conv1"), (SampleShape{56, 56, 128}));
  EXPECT_EQ(output_of(graph, "layer2.0.conv2"), (SampleShape{28, 28, 128}));
  EXPECT_EQ(output_of(graph, "layer4.2"), (SampleShape{7, 7, 2048}));
  EXPECT_EQ(output_of(graph, "avgpool"), (SampleShape{1, 1, 2048}));
}

// Mean and standard deviation of a parameter's first values.
std::pair<double, double> moments(Model& model, const std::string& name) {
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.name != name) continue;
    double sum = 0;
    double squares = 0;
    for (const float value : model.arena().subspan(parameter.offset, parameter.count())) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    const auto count = static_cast<double>(parameter.count());
    return {sum / count, std::sqrt(squares / count - sum / count * sum / count)};
  }
  return {};
}

// Convolutions normal with variance 2 / fan_out, the last layer uniform in ±1/√fan_in.
TEST(Zoo, StartsAsTorchvisionDoes) {
  Model model(options_of("resnet50", 32, 1000), 1, 0);
  model.initialize();
  const std::map<std::string, double> expected{{"conv1.weight", std::sqrt(2.0 / (64 * 49))},
                                               {"layer1.0.conv1.weight", std::sqrt(2.0 / 64)},
                                               {"layer4.0.conv2.weight", std::sqrt(2.0 / (512 * 9))},
                                               {"layer3.0.downsample.0.weight", std::sqrt(2.0 / 1024)},
                                               {"fc.weight", 1 / std::sqrt(3.0 * 2048)}};
  for (const auto& [name, deviation] : expected) {
    const auto [mean, found] = moments(model, name);
    EXPECT_NEAR(mean / deviation, 0, 0.06) << name;
    EXPECT_NEAR(found / deviation, 1, 0.04) << name;
  }
}

class ImageNet : public ::testing::TestWithParam<const char*> {};

// Two images a shard of 8, one more, and an empty shard.
TEST_P(ImageNet, GivesOneAnswerOnOneAndOnThreeWorkers) {
  const ModelOptions options = options_of(GetParam(), 33, 5);
  const std::vector<std::int64_t> batches{17, 7};
  const auto one = run_steps(options, {.workers = 1, .batches = batches});
  for (const Outcome& outcome : run_steps(options, {.workers = 3, .batches = batches})) {
    EXPECT_TRUE(outcome == one[0]);
  }
}

// Besides these an image needs its place among the batches that are read ahead, and what max pooling keeps.
TEST(Zoo, KeepsOnlyTheOutputsOfConvolutionsAndBlocks) {
  const Graph graph = build_graph({.name = "resnet50", .layers = {}}, {224, 224, 3}, 1000, 1);
  std::int64_t kept = 0;
  for (const Node& node : graph.nodes) {
    const bool block = node.layer->kind() == Layer::Kind::add;
    if (block || node.layer->type() == "conv2d") kept += node.layer->output().elements();
  }
  const Model model(options_of("resnet50", 224, 1000), 1, 0);
  const auto bytes = [&](std::int64_t batch) {
    return static_cast<double>(model.memory_bytes({.global = batch, .evaluation = 8}));
  };
  const double an_image = (bytes(32) - bytes(16)) / 16;
  EXPECT_GE(an_image, 4.0 * static_cast<double>(kept));
  EXPECT_LE(an_image, 1.1 * 4.0 * static_cast<double>(kept));
}

// Weights, their gradients, those of the shards of a layer, and weights as an evaluation reads them: five
// times the weights. As training reads them, forward and backward, they would be two times more if all were
// there at once.
TEST(Zoo, HasWeightsAsConvolutionsReadThemALayerAtATime) {
  const Model model(options_of("resnet50", 32, 1000), 1, 0);
  std::size_t weights = 0;
  for (const Parameter& parameter : model.parameters()) weights += parameter.count() * sizeof(float);
  EXPECT_LE(model.memory_bytes({.global = 1, .evaluation = 1}), 6 * weights);
}

INSTANTIATE_TEST_SUITE_P(Zoo, ImageNet, ::testing::Values("resnet18", "resnet50"));

}  // namespace
}  // namespace lockstep::testing
