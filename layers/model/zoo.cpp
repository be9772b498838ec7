#include "layers/model/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "comm/base/error.h"

namespace lockstep {

namespace {

LayerSpec conv(std::string name, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1) {
  return {std::move(name), Conv2dSpec{.out = out, .kernel = kernel, .stride = stride, .padding = kernel / 2}};
}
LayerSpec bn(std::string name) {
  return {std::move(name), BatchNormSpec{}};
}
LayerSpec relu(std::string name) {
  return {std::move(name), ReluSpec{}};
}
LayerSpec fc(std::string name, std::int64_t out, bool bias = true) {
  return {std::move(name), LinearSpec{.out = out, .bias = bias}};
}

void classify(std::vector<LayerSpec>& layers, const ModelSpec& spec, std::string name, std::int64_t classes) {
  if (spec.dropout > 0) layers.push_back({"dropout", DropoutSpec{.probability = spec.dropout}});
  layers.push_back(fc(std::move(name), classes));
}

std::vector<LayerSpec> mlp(const ModelSpec& spec, std::int64_t classes) {
  std::vector<LayerSpec> layers{{"flatten", FlattenSpec{}}};
  int number = 0;
  for (const std::int64_t width : spec.hidden) {
    ++number;
    layers.push_back(fc(fmt::format("fc{}", number), width, false));
    layers.push_back(bn(fmt::format("bn{}", number)));
    layers.push_back(relu(fmt::format("relu{}", number)));
  }
  classify(layers, spec, fmt::format("fc{}", number + 1), classes);
  return layers;
}

std::vector<LayerSpec> cnn(const ModelSpec& spec, std::int64_t classes) {
  std::vector<LayerSpec> layers{conv("conv1", 16, 3),
                                bn("bn1"),
                                relu("relu1"),
                                {"pool1", MaxPoolSpec{}},
                                conv("conv2", 32, 3),
                                bn("bn2"),
                                relu("relu2"),
                                {"pool2", MaxPoolSpec{}},
                                {"flatten", FlattenSpec{}},
                                fc("fc1", 128, false),
                                bn("bn3"),
                                relu("relu3")};
  classify(layers, spec, "fc2", classes);
  return layers;
}

// Stages of residual blocks; each stage after the first halves the image's sides and doubles the width.
struct Stages {
  std::int64_t width = 64;  // of the first
  std::vector<int> blocks;  // of each
  bool bottleneck = false;
};

std::vector<LayerSpec> basic_body(std::int64_t width, std::int64_t stride) {
  return {conv("conv1", width, 3, stride), bn("bn1"), relu("relu"), conv("conv2", width, 3), bn("bn2")};
}

// torchvision's "v1.5": the stride is in the 3x3 convolution, not in the first 1x1 as in the paper.
std::vector<LayerSpec> bottleneck_body(std::int64_t width, std::int64_t stride) {
  return {conv("conv1", width, 1),         bn("bn1"), relu("relu1"),
          conv("conv2", width, 3, stride), bn("bn2"), relu("relu2"),
          conv("conv3", 4 * width, 1),     bn("bn3")};
}

// With 1x1 convolutions where a shortcut changes its shape.
void append_stages(std::vector<LayerSpec>& layers, const Stages& stages) {
  std::int64_t in = stages.width;
  for (std::size_t stage = 0; stage < stages.blocks.size(); ++stage) {
    const std::int64_t width = stages.width << stage;
    const std::int64_t out = stages.bottleneck ? 4 * width : width;
    for (int block = 0; block < stages.blocks[stage]; ++block) {
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      ResidualSpec residual;
      residual.body = stages.bottleneck ? bottleneck_body(width, stride) : basic_body(width, stride);
      if (stride != 1 || in != out) residual.shortcut = {conv("0", out, 1, stride), bn("1")};
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      layers.push_back({name, std::move(residual)});
      layers.push_back(relu(name + ".relu"));
      in = out;
    }
  }
}

// He et al., "Deep residual learning" (2015), section 4.2.
std::vector<LayerSpec> resnet20(const ModelSpec& spec, std::int64_t classes) {
  std::vector<LayerSpec> layers{conv("conv1", 16, 3), bn("bn1"), relu("relu")};
  append_stages(layers, {.width = 16, .blocks = {3, 3, 3}});
  layers.push_back({"avgpool", GlobalAvgPoolSpec{}});
  classify(layers, spec, "fc", classes);
  return layers;
}

void start_normal(std::vector<LayerSpec>& layers) {
  for (LayerSpec& layer : layers) {
    if (auto* convolution = std::get_if<Conv2dSpec>(&layer.layer)) convolution->normal_start = true;
    if (auto* residual = std::get_if<ResidualSpec>(&layer.layer)) {
      start_normal(residual->body);
      start_normal(residual->shortcut);
    }
  }
}

// The same paper's table 1, as torchvision builds it: layers, names and start.
std::vector<LayerSpec> imagenet_resnet(const ModelSpec& spec, std::int64_t classes, const Stages& stages) {
  std::vector<LayerSpec> layers{conv("conv1", 64, 7, 2),
                                bn("bn1"),
                                relu("relu"),
                                {"maxpool", MaxPoolSpec{.window = 3, .stride = 2, .padding = 1}}};
  append_stages(layers, stages);
  layers.push_back({"avgpool", GlobalAvgPoolSpec{}});
  classify(layers, spec, "fc", classes);
  start_normal(layers);
  return layers;
}

std::vector<LayerSpec> resnet18(const ModelSpec& spec, std::int64_t classes) {
  return imagenet_resnet(spec, classes, {.blocks = {2, 2, 2, 2}});
}
std::vector<LayerSpec> resnet34(const ModelSpec& spec, std::int64_t classes) {
  return imagenet_resnet(spec, classes, {.blocks = {3, 4, 6, 3}});
}
std::vector<LayerSpec> resnet50(const ModelSpec& spec, std::int64_t classes) {
  return imagenet_resnet(spec, classes, {.blocks = {3, 4, 6, 3}, .bottleneck = true});
}

struct Member {
  const char* name;
  std::vector<LayerSpec> (*layers)(const ModelSpec& spec, std::int64_t classes);
};
constexpr std::array zoo{Member{"mlp", mlp},           Member{"cnn", cnn},
                         Member{"resnet20", resnet20}, Member{"resnet18", resnet18},
                         Member{"resnet34", resnet34}, Member{"resnet50", resnet50}};

}  // namespace

std::vector<std::string> zoo_names() {
  std::vector<std::string> names;
  names.reserve(zoo.size());
  for (const Member& member : zoo) names.emplace_back(member.name);
  return names;
}

std::vector<LayerSpec> zoo_layers(const ModelSpec& spec, std::int64_t classes) {
  for (const Member& member : zoo) {
    if (spec.name == member.name) return member.layers(spec, classes);
  }
  throw UsageError(
      fmt::format("model.name: '{}' is unknown; one of {}", spec.name, fmt::join(zoo_names(), ", ")));
}

}  // namespace lockstep
