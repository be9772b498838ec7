#include "layers/model/graph.h"

#include <fmt/format.h>

#include "comm/base/error.h"
#include "layers/model/custom_layer.h"
#include "layers/model/zoo.h"
#include "layers/nn/batch_norm.h"
#include "layers/nn/conv2d.h"
#include "layers/nn/linear.h"
#include "layers/nn/pooling.h"
#include "layers/nn/simple_layers.h"

namespace lockstep {

Graph::Graph(const SampleShape& images) {
  append(images, "the data set");
}

void Graph::append(const SampleShape& value, std::string_view whose) {
  std::int64_t times = room_;
  for (const std::int64_t size : {value.height, value.width, value.channels}) times /= size;
  if (times == 0) {
    throw UsageError(fmt::format("{} makes {} values of a sample, more than any memory has room for", whose,
                                 to_string(value)));
  }
  room_ -= value.elements();
  values.push_back(value);
}

ValueId Graph::add(std::unique_ptr<Layer> layer, std::vector<ValueId> inputs) {
  const auto output = static_cast<ValueId>(values.size());
  append(layer->output(), fmt::format("layer '{}' ({})", layer->name(), layer->type()));
  nodes.push_back({std::move(layer), std::move(inputs), output});
  return output;
}

namespace {

class Builder {
 public:
  Builder(Graph& graph, std::uint64_t seed) : graph_(graph), seed_(seed) {}

  // Appends the layers of a list behind `input`; `prefix` is the path of names of the block they stand in.
  ValueId append(const std::vector<LayerSpec>& layers, const std::string& prefix, ValueId input) {
    for (const LayerSpec& spec : layers) {
      const std::string name = prefix.empty() ? spec.name : prefix + "." + spec.name;
      input = std::visit([&](const auto& layer) { return append(layer, name, input); }, spec.layer);
    }
    return input;
  }

 private:
  const SampleShape& shape(ValueId value) const { return graph_.values[static_cast<std::size_t>(value)]; }
  template <class L, class... Arguments>
  ValueId add(const std::string& name, ValueId input, Arguments&&... arguments) {
    return graph_.add(std::make_unique<L>(name, shape(input), std::forward<Arguments>(arguments)...),
                      {input});
  }

  ValueId append(const Conv2dSpec& spec, const std::string& name, ValueId x) {
    return add<Conv2d>(name, x, spec);
  }
  ValueId append(const LinearSpec& spec, const std::string& name, ValueId x) {
    return add<LinearLayer>(name, x, spec);
  }
  ValueId append(const BatchNormSpec& spec, const std::string& name, ValueId x) {
    return add<BatchNorm>(name, x, spec);
  }
  ValueId append(const ReluSpec& /*spec*/, const std::string& name, ValueId x) { return add<Relu>(name, x); }
  ValueId append(const MaxPoolSpec& spec, const std::string& name, ValueId x) {
    return add<PoolingLayer>(name, x, Pooling::Kind::max, spec.window, spec.stride, spec.padding);
  }
  ValueId append(const AvgPoolSpec& spec, const std::string& name, ValueId x) {
    return add<PoolingLayer>(name, x, Pooling::Kind::average, spec.window, spec.stride, spec.padding);
  }
  ValueId append(const GlobalAvgPoolSpec& /*spec*/, const std::string& name, ValueId x) {
    return add<GlobalAvgPool>(name, x);
  }
  ValueId append(const FlattenSpec& /*spec*/, const std::string& name, ValueId x) {
    return add<Flatten>(name, x);
  }
  ValueId append(const DropoutSpec& spec, const std::string& name, ValueId x) {
    return add<Dropout>(name, x, spec.probability, seed_);
  }
  ValueId append(const CustomSpec& spec, const std::string& name, ValueId x) {
    const ValueId output =
        graph_.add(make_layer(spec, {.name = name, .input = shape(x), .seed = seed_}), {x});
    graph_.nodes.back().knows_bf16 = spec.type->knows_bf16;
    graph_.nodes.back().knows_devices = false;
    return output;
  }
  ValueId append(const ResidualSpec& spec, const std::string& name, ValueId x) {
    if (spec.body.empty())
      throw UsageError(fmt::format("layer '{}' (residual): its body has no layers", name));
    const ValueId shortcut = append(spec.shortcut, name + ".downsample", x);
    const ValueId body = append(spec.body, name, x);
    if (shape(body) != shape(shortcut)) {
      throw UsageError(
          fmt::format("layer '{}' (residual): its body ends in {}, its shortcut in {}; both must be the same",
                      name, to_string(shape(body)), to_string(shape(shortcut))));
    }
    return graph_.add(std::make_unique<Add>(name, shape(body)), {body, shortcut});
  }

  Graph& graph_;
  std::uint64_t seed_;
};

}  // namespace

Graph build_graph(const ModelSpec& spec, const SampleShape& images, std::int64_t classes,
                  std::uint64_t seed) {
  const std::vector<LayerSpec> layers = spec.name.empty() ? spec.layers : zoo_layers(spec, classes);
  if (layers.empty()) throw UsageError("model.layers: a network needs at least one layer");
  Graph graph(images);
  Builder(graph, seed).append(layers, "", 0);

  const Layer& last = *graph.nodes.back().layer;
  const SampleShape logits{.height = 1, .width = 1, .channels = classes};
  if (last.output() != logits) {
    throw UsageError(
        fmt::format("layer '{}' ({}) ends the network with {}; the data set's {} classes need {}",
                    last.name(), last.type(), to_string(last.output()), classes, to_string(logits)));
  }
  return graph;
}

}  // namespace lockstep
