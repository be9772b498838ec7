#include "layers/model/folding.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/model/steps.h"

namespace lockstep::testing {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t samples = 5;

// Every place in which a batch_norm can stand.
ModelOptions network() {
  ModelOptions options;
  options.input = {.height = 6, .width = 5, .channels = 2};
  options.classes = 3;
  options.running_statistics = {{}, {.name = "cumulative", .kind = RunningStatistics::Kind::cumulative}};
  options.eps = 0.01;
  const ResidualSpec block{
      .body = {{"conv", Conv2dSpec{.out = 4, .padding = 1, .groups = 2}}, {"bn", BatchNormSpec{}}},
      .shortcut = {{"0", Conv2dSpec{.out = 4, .kernel = 1}}, {"1", BatchNormSpec{}}}};
  options.spec.layers = {{"first", BatchNormSpec{}},
                         {"conv", Conv2dSpec{.out = 4, .padding = 1}},
                         {"dropout", DropoutSpec{}},
                         {"bn", BatchNormSpec{}},
                         {"relu", ReluSpec{}},
                         {"after_relu", BatchNormSpec{}},
                         {"block", block},
                         {"after_block", BatchNormSpec{}},
                         {"flatten", FlattenSpec{}},
                         {"fc1", LinearSpec{.out = 7}},
                         {"bn1", BatchNormSpec{.affine = false}},
                         {"again", BatchNormSpec{}},
                         {"fc2", LinearSpec{.out = 3}}};
  return options;
}

// Parameters and running statistics that are none of a fresh network's.
void spread(Model& model) {
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.dtype != DType::f32) continue;
    const std::span values(reinterpret_cast<float*>(tensor.bytes.data()),
                           tensor.bytes.size() / sizeof(float));
    const Random random(3, tensor.name);
    const float lowest = tensor.name.ends_with("running_var") ? 0.1F : -1.0F;
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = lowest + 2.0F * Random::uniform(random.bits(i)[0]);
    }
  }
}

std::vector<float> logits_of(Model& model, std::size_t entry) {
  const Data data = random_data(network().input, 3, samples);
  const Buffer images(data.images.size() * sizeof(float));
  std::ranges::copy(data.images, images.as<float>().begin());
  std::vector<float> logits(samples * 3);
  model.predict({.images = images.as<float>().data(), .labels = {}, .samples = samples}, entry, logits);
  return logits;
}

void expect_close(const std::vector<float>& some, const std::vector<float>& others) {
  float largest = 0;
  for (const float logit : others) largest = std::max(largest, std::abs(logit));
  for (std::size_t i = 0; i < others.size(); ++i) EXPECT_NEAR(some[i], others[i], 1e-5F * largest) << i;
}

class Folding : public ::testing::Test {
 protected:
  Folding() : model_(network(), 1, 0) { spread(model_); }

  Model model_;
};

TEST_F(Folding, ACopyOfAModelGivesTheSameBits) {
  for (const std::size_t entry : {0U, 1U}) {
    Model copy = make_model(inference_network(model_, entry));
    EXPECT_EQ(logits_of(copy, 0), logits_of(model_, entry)) << entry;
  }
  EXPECT_NE(logits_of(model_, 0), logits_of(model_, 1));
}

TEST_F(Folding, GivesTheSameLogits) {
  for (const std::size_t entry : {0U, 1U}) {
    InferenceNetwork folded = inference_network(model_, entry);
    fold_batch_norms(folded);
    Model model = make_model(folded);
    expect_close(logits_of(model, 0), logits_of(model_, entry));
  }
}

TEST_F(Folding, LeavesOnlyThoseThatStandBehindNoConvolutionOrLinearLayer) {
  InferenceNetwork folded = inference_network(model_, 0);
  fold_batch_norms(folded);
  std::vector<std::string> names;
  for (const LayerSpec& layer : folded.layers) names.push_back(layer.name);
  EXPECT_THAT(names, ElementsAre("first", "conv", "dropout", "relu", "after_relu", "block", "after_block",
                                 "flatten", "fc1", "fc2"));
  const auto& block = std::get<ResidualSpec>(folded.layers[5].layer);
  EXPECT_EQ(block.body.size(), 1U);
  EXPECT_EQ(block.shortcut.size(), 1U);

  std::vector<std::string> tensors;
  for (const auto& [name, tensor] : folded.tensors) {
    if (!name.starts_with("after") && !name.starts_with("first")) tensors.push_back(name);
  }
  EXPECT_THAT(tensors, ElementsAre("block.conv.bias", "block.conv.weight", "block.downsample.0.bias",
                                   "block.downsample.0.weight", "conv.bias", "conv.weight", "fc1.bias",
                                   "fc1.weight", "fc2.bias", "fc2.weight"));
}

// As deployed, with batch norms folded; `joined`: with what that joins.
Model folded_copy(Model& model, bool joined = true) {
  InferenceNetwork network = inference_network(model, 0);
  fold_batch_norms(network);
  network.folded = joined;
  return make_model(network);
}

std::vector<float> logits_of(Model& model, const Data& data) {
  const Buffer images(data.images.size() * sizeof(float));
  std::ranges::copy(data.images, images.as<float>().begin());
  std::vector<float> logits(static_cast<std::size_t>(data.samples() * model.options().classes));
  model.predict({.images = images.as<float>().data(), .labels = {}, .samples = data.samples()}, 0, logits);
  return logits;
}

class Deployed : public ::testing::Test {
 protected:
  static ModelOptions options() {
    ModelOptions options;
    options.spec.name = "resnet20";
    options.input = {.height = 8, .width = 8, .channels = 3};
    return options;
  }
  Deployed() : model_(options(), 1, 0) { spread(model_); }

  Model model_;
  Data data_ = random_data(options().input, 10, samples);
};

TEST_F(Deployed, GivesTheLogitsOfLayersApart) {
  Model joined = folded_copy(model_);
  Model apart = folded_copy(model_, false);
  EXPECT_NE(logits_of(joined, data_), logits_of(model_, data_));
  expect_close(logits_of(joined, data_), logits_of(apart, data_));
  EXPECT_EQ(logits_of(joined, data_), logits_of(joined, data_));  // in memory that was used before
}

TEST_F(Deployed, AnswersForEachImageAlone) {
  Model joined = folded_copy(model_);
  const std::vector<float> together = logits_of(joined, data_);
  const auto elements = static_cast<std::size_t>(options().input.elements());
  for (std::size_t i = 0; i < samples; ++i) {
    const auto first = data_.images.begin() + static_cast<std::ptrdiff_t>(i * elements);
    const Data one{.images = {first, first + static_cast<std::ptrdiff_t>(elements)}, .labels = {0}};
    const auto logits = together.begin() + static_cast<std::ptrdiff_t>(i * 10);
    expect_close(logits_of(joined, one), {logits, logits + 10});
  }
}

TEST_F(Deployed, ShowsNanOfAnyParameter) {
  for (const char* name :
       {"conv1.weight", "layer1.1.conv1.weight", "layer2.0.downsample.0.weight", "layer3.2.bn2.bias"}) {
    Model broken(options(), 1, 0);
    spread(broken);
    for (const ModelTensor& tensor : broken.state()) {
      if (tensor.name == name) reinterpret_cast<float*>(tensor.bytes.data())[0] = std::nanf("");
    }
    Model joined = folded_copy(broken);
    EXPECT_TRUE(std::ranges::any_of(logits_of(joined, data_), [](float logit) { return std::isnan(logit); }))
        << name;
  }
}

}  // namespace
}  // namespace lockstep::testing
