#include "trainer/export/onnx.h"

#include <fmt/format.h>

#include <utility>

#include "comm/base/error.h"
#include "layers/model/custom_layer.h"
#include "trainer/export/onnx_graph.h"

namespace lockstep {
namespace {

// A value in the graph: [batch, channels, height, width], or [batch, channels] where it has no image plane.
// lockstep does not tell 1×1 planes from none, but ONNX does.
struct Value {
  std::string name;
  bool has_plane = true;
};

using Ints = std::vector<std::int64_t>;

class Exporter {
 public:
  Exporter(const InferenceNetwork& network, OnnxGraph& graph) : network_(network), graph_(graph) {}

  // Pixels are measured in their own units here: (x − 255 · mean) / (255 · deviation).
  Value normalize(const std::string& images, std::span<const double> mean,
                  std::span<const double> deviation) {
    constexpr double scale = 255;
    const auto of_channels = [&](const std::string& name, std::span<const double> values) {
      std::vector<float> scaled;
      for (const double value : values) scaled.push_back(static_cast<float>(scale * value));
      graph_.constant(name, {static_cast<std::int64_t>(values.size()), 1, 1}, scaled);
      return name;
    };
    const Value centered = node("Sub", "images/center", {images, of_channels("images/mean", mean)});
    return node("Div", "images/scale", {centered.name, of_channels("images/deviation", deviation)});
  }

  Value append(const std::vector<LayerSpec>& layers, const std::string& prefix, Value x) {
    for (const LayerSpec& spec : layers) {
      x = std::visit([&](const auto& layer) { return append(layer, prefix + spec.name, x); }, spec.layer);
    }
    return x;
  }

  // [batch, channels · height · width]: channel, row, column, as lockstep's flatten has it.
  Value as_vector(const Value& x, const std::string& path) {
    if (!x.has_plane) return x;
    Value flat = node("Flatten", path + "/flatten", {x.name}, {{"axis", 1}});
    flat.has_plane = false;
    return flat;
  }

 private:
  Value append(const Conv2dSpec& spec, const std::string& path, const Value& x) {
    return node("Conv", path, with_weights({with_plane(x, path).name}, path, spec.bias),
                {{"kernel_shape", Ints{spec.kernel, spec.kernel}},
                 {"strides", Ints{spec.stride, spec.stride}},
                 {"pads", Ints(4, spec.padding)},
                 {"group", spec.groups}});
  }

  Value append(const LinearSpec& spec, const std::string& path, const Value& x) {
    Value y = node("Gemm", path, with_weights({as_vector(x, path).name}, path, spec.bias), {{"transB", 1}});
    y.has_plane = false;
    return y;
  }

  Value append(const BatchNormSpec& spec, const std::string& path, const Value& x) {
    const NamedTensor& mean = network_.tensors.at(path + ".running_mean");
    const auto parameter = [&](const std::string& name, float otherwise) {
      if (spec.affine) return constant(name);
      graph_.constant(name, mean.dims, std::vector<float>(mean.values.size(), otherwise));
      return name;
    };
    const std::string gamma = parameter(path + ".weight", 1);
    const std::string beta = parameter(path + ".bias", 0);
    return like(x,
                node("BatchNormalization", path,
                     {x.name, gamma, beta, constant(path + ".running_mean"), constant(path + ".running_var")},
                     {{"epsilon", static_cast<float>(network_.eps)}}));
  }

  Value append(const ReluSpec& /*spec*/, const std::string& path, const Value& x) {
    return like(x, node("Relu", path, {x.name}));
  }

  Value append(const MaxPoolSpec& spec, const std::string& path, const Value& x) {
    return pool("MaxPool", spec, path, x);
  }
  Value append(const AvgPoolSpec& spec, const std::string& path, const Value& x) {
    return pool("AveragePool", spec, path, x);  // padding is not counted, unless one says so
  }
  Value append(const GlobalAvgPoolSpec& /*spec*/, const std::string& path, const Value& x) {
    return node("GlobalAveragePool", path, {with_plane(x, path).name});
  }
  Value append(const FlattenSpec& /*spec*/, const std::string& path, const Value& x) {
    return as_vector(x, path);
  }
  static Value append(const DropoutSpec& /*spec*/, const std::string& /*path*/, const Value& x) { return x; }

  static Value append(const CustomSpec& spec, const std::string& path, const Value& /*x*/) {
    throw UsageError(fmt::format(
        "layer '{}' ({}) cannot be exported: it is this program's own, and lockstep does not know what "
        "it is in ONNX",
        path, spec.type->word));
  }

  Value append(const ResidualSpec& spec, const std::string& path, const Value& x) {
    Value shortcut = append(spec.shortcut, shortcut_path(path) + ".", x);
    Value body = append(spec.body, path + ".", x);
    if (body.has_plane != shortcut.has_plane) {
      body = as_vector(body, path + "/body");
      shortcut = as_vector(shortcut, path + "/shortcut");
    }
    return like(body, node("Add", path, {body.name, shortcut.name}));
  }

  template <class Spec>
  Value pool(const std::string& op, const Spec& spec, const std::string& path, const Value& x) {
    const std::int64_t stride = spec.stride == 0 ? spec.window : spec.stride;
    return node(op, path, {with_plane(x, path).name},
                {{"kernel_shape", Ints{spec.window, spec.window}},
                 {"strides", Ints{stride, stride}},
                 {"pads", Ints(4, spec.padding)}});
  }

  Value node(const std::string& op, const std::string& path, std::vector<std::string> inputs,
             std::vector<std::pair<std::string, OnnxNode::Attribute>> attributes = {}) {
    const std::string name = unique(path);
    Value value{.name = name + "/output"};
    graph_.add({op, name, std::move(inputs), value.name, std::move(attributes)});
    return value;
  }

  // Two layers without parameters may have one path: resnet20 has two "layer1.0.relu", one inside the block
  // and one behind it. No name of a layer has a '/'.
  std::string unique(const std::string& path) {
    const int times = ++times_[path];
    return times == 1 ? path : path + "/" + std::to_string(times);
  }

  static Value like(const Value& x, Value y) {
    y.has_plane = x.has_plane;
    return y;
  }

  Value with_plane(const Value& x, const std::string& path) {
    if (x.has_plane) return x;
    const std::string axes = unique(path + "/axes");
    graph_.constant(axes, Ints{2, 3});
    return node("Unsqueeze", path + "/unsqueeze", {x.name, axes});
  }

  std::vector<std::string> with_weights(std::vector<std::string> inputs, const std::string& path, bool bias) {
    inputs.push_back(constant(path + ".weight"));
    if (bias) inputs.push_back(constant(path + ".bias"));
    return inputs;
  }

  std::string constant(const std::string& name) {
    const NamedTensor& tensor = network_.tensors.at(name);
    graph_.constant(name, tensor.dims, tensor.values);
    return name;
  }

  const InferenceNetwork& network_;
  OnnxGraph& graph_;
  std::map<std::string, int> times_;  // that a path was used
};

}  // namespace

std::string onnx_file(const InferenceNetwork& network, std::span<const double> mean,
                      std::span<const double> deviation, const std::map<std::string, std::string>& metadata) {
  OnnxGraph graph;
  const SampleShape& input = network.input;
  graph.input("images", {input.channels, input.height, input.width}, "raw pixel values, 0 to 255");
  Exporter exporter(network, graph);
  const Value images = exporter.normalize("images", mean, deviation);
  exporter.as_vector(exporter.append(network.layers, "", images), "logits");
  graph.rename_output("logits");
  graph.output("logits", {network.classes}, "before softmax");
  return graph.file("lockstep", metadata);
}

}  // namespace lockstep
