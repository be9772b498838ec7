#include "layers/model/bare_step.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>

#include "layers/model/graph.h"
#include "layers/tensor/random.h"

namespace lockstep {

namespace {

constexpr ValueId images = 0;

template <class E>
void fill(std::span<E> values, std::string_view purpose) {
  const Random random(1, purpose);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = from_float<E>(2 * Random::uniform(random.bits(i)[0]) - 1);  // no denormals, which take longer
  }
}

// Kernels learn their weights here; what is in them does not matter. Answers their memory.
std::array<Buffer, 2> prepare(Kernel& kernel, const Layer& layer) {
  Buffer weight(layer.parameters().front().count() * sizeof(float));
  fill(weight.as<float>(), "weight");
  std::array memory{Buffer(kernel.prepared_bytes(Pass::forward)),
                    Buffer(kernel.prepared_bytes(Pass::backward))};
  kernel.prepare(Pass::forward, {weight.as<float>().data(), nullptr}, memory[0].data());
  kernel.prepare(Pass::backward, {weight.as<float>().data(), nullptr}, memory[1].data());
  return memory;
}

}  // namespace

BareStep::BareStep(const ModelOptions& options, int workers, int rank, std::int64_t global) {
  const ShardLayout layout(options.shards, workers, rank);
  std::vector<std::int64_t> samples;
  for (std::int64_t shard = layout.block().begin; shard < layout.block().end; ++shard) {
    const Range range = layout.samples(global, shard);
    if (!range.empty()) samples.push_back(range.size());
  }

  const Graph graph = build_graph(options.spec, options.input, options.classes, options.seed);
  std::int64_t largest = 0;
  for (const Node& node : graph.nodes) {
    const std::size_t before = entries_.size();
    add(*node.layer, node.inputs.front() != images, samples, options.training);
    if (entries_.size() == before) continue;
    largest = std::max({largest, node.layer->input().elements(), node.layer->output().elements()});
  }
  for (const std::int64_t count : samples) {
    const auto bytes = static_cast<std::size_t>(count * largest) * sizeof(float);
    Shard& shard = shards_.emplace_back(Shard{Buffer(bytes), Buffer(bytes), Buffer(bytes)});
    with_element(options.training, [&](auto element) {
      fill(shard.input.as<decltype(element)>(), "input");
      fill(shard.gradient.as<decltype(element)>(), "gradient");
    });
  }
}

void BareStep::add(const Layer& layer, bool wants_input_gradient, const std::vector<std::int64_t>& samples,
                   Element element) {
  if (layer.kind() != Layer::Kind::compute) return;
  std::map<std::int64_t, std::vector<BarePrimitive>> by_samples;
  for (const std::int64_t count : samples) {
    if (by_samples.contains(count)) continue;
    auto kernel = layer.make_kernel({.samples = count, .threads = 1, .training = true, .element = element});
    by_samples[count] = kernel->bare_primitives();
    if (by_samples[count].empty()) return;
    for (Buffer& memory : prepare(*kernel, layer)) prepared_.push_back(std::move(memory));
    scratch_.reserve(kernel->scratch_bytes());
    kernels_.push_back(std::move(kernel));
  }
  if (samples.empty()) return;
  for (std::size_t index = 0; index < by_samples.begin()->second.size(); ++index) {
    const BarePrimitive& first = by_samples.begin()->second[index];
    if (first.pass == BarePrimitive::Pass::backward_data && !wants_input_gradient) continue;
    Entry& entry = entries_.emplace_back(Entry{layer.name(), first.pass, {}});
    for (const auto& [count, primitives] : by_samples)
      entry.implementations.insert(primitives[index].implementation);
    auto& pieces = pieces_.emplace_back();
    for (std::size_t shard = 0; shard < samples.size(); ++shard) {
      pieces.push_back({by_samples[samples[shard]][index], shard});
    }
  }
}

void BareStep::run(std::size_t entry) const {
  for (const Piece& piece : pieces_.at(entry)) {
    const Shard& shard = shards_[piece.shard];
    piece.primitive.run(shard.input.data(), shard.gradient.data(), shard.result.data(), scratch_.data());
  }
}

}  // namespace lockstep
