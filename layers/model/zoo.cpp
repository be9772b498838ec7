#include "layers/model/zoo.h"

#include <fmt/format.h>

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

// He et al., "Deep residual learning" (2015), section 4.2, with 1x1 convolutions where a shortcut changes its
// shape.
std::vector<LayerSpec> resnet20(const ModelSpec& spec, std::int64_t classes) {
  std::vector<LayerSpec> layers{conv("conv1", 16, 3), bn("bn1"), relu("relu")};
  std::int64_t in = 16;
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t out = 16 << stage;
    for (int block = 0; block < 3; ++block) {
      const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      ResidualSpec residual{
          .body = {conv("conv1", out, 3, stride), bn("bn1"), relu("relu"), conv("conv2", out, 3), bn("bn2")},
          .shortcut = {}};
      if (stride != 1 || in != out) residual.shortcut = {conv("0", out, 1, stride), bn("1")};
      const std::string name = fmt::format("layer{}.{}", stage + 1, block);
      layers.push_back({name, std::move(residual)});
      layers.push_back(relu(name + ".relu"));
      in = out;
    }
  }
  layers.push_back({"avgpool", GlobalAvgPoolSpec{}});
  classify(layers, spec, "fc", classes);
  return layers;
}

}  // namespace

std::vector<LayerSpec> zoo_layers(const ModelSpec& spec, std::int64_t classes) {
  if (spec.name == "mlp") return mlp(spec, classes);
  if (spec.name == "cnn") return cnn(spec, classes);
  if (spec.name == "resnet20") return resnet20(spec, classes);
  throw UsageError(fmt::format("model.name: '{}' is unknown; one of mlp, cnn, resnet20", spec.name));
}

}  // namespace lockstep
