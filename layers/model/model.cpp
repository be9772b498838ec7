#include "layers/model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "comm/base/error.h"
#include "comm/tree/exchange.h"
#include "comm/tree/fixed_tree.h"
#include "layers/loss/softmax_cross_entropy.h"
#include "layers/model/graph.h"
#include "layers/model/parameter_table.h"
#include "layers/model/plan.h"
#include "layers/model/running_buffers.h"
#include "layers/model/step_statistics.h"
#include "layers/ops/elementwise.h"
#include "layers/tensor/random.h"

namespace lockstep {

namespace {

std::vector<const BatchNorm*> norms_of(const Graph& graph) {
  std::vector<const BatchNorm*> norms;
  for (const Node& node : graph.nodes) {
    if (const auto* norm = dynamic_cast<const BatchNorm*>(node.layer.get())) norms.push_back(norm);
  }
  return norms;
}

Graph computable(Graph graph, Element element) {
  for (const Node& node : graph.nodes) {
    if (element == Element::f32 || node.knows_bf16) continue;
    throw UsageError(
        fmt::format("layer '{}' ({}): the program that brings this layer computes it in fp32 alone. Set "
                    "precision: fp32",
                    node.layer->name(), node.layer->type()));
  }
  return graph;
}

}  // namespace

struct Model::Impl {
  Impl(ModelOptions given, int workers, int rank)
      : options(std::move(given)),
        layout(options.shards, workers, rank),
        graph(computable(build_graph(options.spec, options.input, options.classes, options.seed),
                         options.training)),
        norms(norms_of(graph)),
        parameters(graph, options.statistics_group == options.shards),
        running(norms, options.running_statistics),
        statistics(norms, layout, options.statistics_group, options.eps),
        loss_exchange(layout, options.shards),
        pool(options.threads),
        arena(parameters.floats() * sizeof(float)),
        training(parts(),
                 {.fuse = options.fuse, .recompute = options.recompute, .element = options.training}),
        frozen_training(parts(), {.fixed_statistics = true,
                                  .fuse = options.fuse,
                                  .recompute = options.recompute,
                                  .element = options.training}),
        observation(parts(), {.backward = false, .fuse = options.fuse, .element = options.inference}),
        inference(parts(), {.backward = false,
                            .fixed_statistics = true,
                            .fuse = options.fuse,
                            .deployed = options.deployed,
                            .element = options.inference}) {
    for (std::size_t node = 0; node < maximal_subtrees({0, options.shards}, layout.block()).size(); ++node) {
      gradient_arenas.emplace_back(parameters.floats() * sizeof(float));
      node_gradients.push_back(gradient_arenas.back().as<float>().data());
    }
  }

  Plan::Parts parts() {
    return {.graph = graph,
            .parameters = parameters,
            .arena = arena.as<float>().data(),
            .layout = layout,
            .pool = pool,
            .workspace = workspace};
  }

  LossSums loss(const ShardInput& shard, const float* logits, float* gradient, std::int64_t global,
                double smoothing) const;
  BatchSums meet_loss(Communicator& comm, std::int64_t global, std::span<const LossSums> shards);
  std::vector<AffineStorage> running_affines(std::size_t entry) const;
  std::string first_bad_gradient() const;

  ModelOptions options;
  ShardLayout layout;
  Graph graph;
  std::vector<const BatchNorm*> norms;
  ParameterTable parameters;
  RunningBuffers running;
  StepStatistics statistics;
  TreeExchange loss_exchange;
  ThreadPool pool;
  Workspace workspace;
  Buffer arena;
  std::vector<Buffer> gradient_arenas;  // a node of the reducer each; the first receives the sums
  std::vector<float*> node_gradients;
  Plan training;
  Plan frozen_training;
  Plan observation;
  Plan inference;
  bool frozen = false;
};

Model::Model(ModelOptions options, int workers, int rank)
    : impl_(std::make_unique<Impl>(std::move(options), workers, rank)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;

const ModelOptions& Model::options() const {
  return impl_->options;
}
const ShardLayout& Model::layout() const {
  return impl_->layout;
}
bool Model::normalizes() const {
  return !impl_->norms.empty();
}
std::size_t Model::widest_bytes() const {
  const auto& values = impl_->graph.values;
  const auto widest = std::ranges::max_element(values, {}, &SampleShape::elements);
  return static_cast<std::size_t>(widest->elements()) * size_of(impl_->options.inference);
}
std::span<const Parameter> Model::parameters() const {
  return impl_->parameters.all();
}
std::span<float> Model::arena() {
  return impl_->arena.as<float>().first(impl_->parameters.floats());
}
std::span<float> Model::gradients() {
  return impl_->gradient_arenas.front().as<float>().first(impl_->parameters.floats());
}
std::vector<Range> Model::gradient_tensors() const {
  return impl_->parameters.bucketed_tensors();
}

std::vector<ModelTensor> Model::state() {
  std::vector<ModelTensor> tensors;
  for (const Parameter& parameter : parameters()) {
    tensors.push_back(
        {.name = parameter.name,
         .dtype = DType::f32,
         .dims = parameter.dims,
         .bytes = std::as_writable_bytes(arena().subspan(parameter.offset, parameter.count()))});
  }
  std::ranges::move(impl_->running.tensors(), std::back_inserter(tensors));
  return tensors;
}

void Model::initialize() {
  for (const Parameter& parameter : parameters()) {
    const std::span<float> values = arena().subspan(parameter.offset, parameter.count());
    const Random random(impl_->options.seed, "weights", parameter.name);
    const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(parameter.fan_in)));
    const auto uniform = [&](const auto& bits) { return (2.0F * Random::uniform(bits[0]) - 1.0F) * bound; };
    const auto normal = [&](const auto& bits) {
      return static_cast<float>(parameter.deviation * Random::normal(bits[0], bits[1]));
    };
    if (parameter.start) {
      std::ranges::fill(values, static_cast<float>(*parameter.start));
      continue;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = parameter.deviation > 0 ? normal(random.bits(i)) : uniform(random.bits(i));
    }
  }
  impl_->running.reset();
}

std::size_t Model::memory_bytes(const Workload& work) const {
  const ShardLayout& layout = impl_->layout;
  const std::size_t arena = impl_->parameters.floats() * sizeof(float);
  const std::size_t nodes = impl_->gradient_arenas.size();
  std::size_t bytes = (1 + nodes + work.optimizer_arenas) * arena;

  // The reducer packs several nodes together, and receives its slice of every worker's nodes.
  if (layout.workers() > 1) {
    std::size_t all_nodes = 0;
    for (int rank = 0; rank < layout.workers(); ++rank) {
      all_nodes += maximal_subtrees({0, layout.shards()}, layout.block(rank)).size();
    }
    bytes += (nodes > 1 ? nodes : 0) * arena + all_nodes * arena / static_cast<std::size_t>(layout.workers());
  }

  constexpr std::int64_t batches_in_memory = 2;
  const auto own_samples = [&](std::int64_t batch) {
    return layout.samples(batch, layout.block().end - 1).end -
           layout.samples(batch, layout.block().begin).begin;
  };
  const std::int64_t read_ahead =
      own_samples(work.global) + own_samples(std::max(work.evaluation, work.observed));
  bytes += static_cast<std::size_t>(batches_in_memory * read_ahead * impl_->options.input.elements()) *
           sizeof(float);

  std::size_t workspace = 0;
  const auto count = [&](Plan& plan, std::int64_t batch) {
    const Plan::Bytes needed = plan.bytes(batch);
    bytes += needed.kernels;
    workspace = std::max(workspace, needed.workspace);
  };
  count(impl_->training, work.global);
  count(impl_->inference, work.evaluation);
  if (work.observed > 0) count(impl_->observation, work.observed);
  if (work.freezes) count(impl_->frozen_training, work.global);
  return bytes + workspace;
}

std::string Model::undefined_variance(std::int64_t global) const {
  for (std::size_t norm = 0; norm < impl_->norms.size(); ++norm) {
    if (impl_->statistics.undefined_variance(norm, global)) return impl_->norms[norm]->name();
  }
  return "";
}

LossSums Model::Impl::loss(const ShardInput& shard, const float* logits, float* gradient, std::int64_t global,
                           double smoothing) const {
  const auto count = static_cast<std::size_t>(shard.samples * options.classes);
  return softmax_cross_entropy({logits, count}, shard.labels, options.classes, smoothing, global,
                               gradient == nullptr ? std::span<float>() : std::span(gradient, count));
}

BatchSums Model::Impl::meet_loss(Communicator& comm, std::int64_t global, std::span<const LossSums> shards) {
  std::vector<double> leaves;
  for (const LossSums& sums : shards) {
    leaves.push_back(sums.loss);
    leaves.push_back(sums.correct);
  }
  std::array<double, 2> sums{};
  loss_exchange.run(comm, "loss", layout.present(global), sums.size(), leaves, sum_of(sums.size()), sums);
  return {.loss = sums[0], .correct = sums[1], .samples = global};
}

std::vector<AffineStorage> Model::Impl::running_affines(std::size_t entry) const {
  std::vector<AffineStorage> affines;
  for (std::size_t norm = 0; norm < norms.size(); ++norm) {
    const std::span<const float> mean = running.mean(entry, norm);
    const std::span<const float> variance = running.variance(entry, norm);
    const Range range = parameters.of(*norms[norm]);
    const auto parameter = [&](std::int64_t number) -> const float* {
      if (range.empty()) return nullptr;
      return arena.as<float>().data() +
             parameters.all()[static_cast<std::size_t>(range.begin + number)].offset;
    };
    affines.emplace_back(norms[norm]->channels());
    affines.back().set(std::vector<double>(mean.begin(), mean.end()),
                       std::vector<double>(variance.begin(), variance.end()), options.eps, parameter(0),
                       parameter(1));
  }
  return affines;
}

std::string Model::Impl::first_bad_gradient() const {
  const std::span<const float> gradients = gradient_arenas.front().as<float>();
  for (const Parameter& parameter : parameters.all()) {
    if (!all_finite(gradients.subspan(parameter.offset, parameter.count()))) return parameter.name;
  }
  return "";
}

BatchSums Model::train_step(Communicator& comm, GradientReducer& reducer, const BatchInput& batch,
                            std::int64_t step) {
  Impl& it = *impl_;
  std::vector<LossSums> losses(batch.shards.size());
  const Plan::Loss loss = [&](std::size_t shard, const float* logits, float* gradient) {
    losses[shard] = it.loss(batch.shards[shard], logits, gradient, batch.global, it.options.label_smoothing);
  };
  const std::vector<AffineStorage> fixed = it.frozen ? it.running_affines(0) : std::vector<AffineStorage>();
  Plan& plan = it.frozen ? it.frozen_training : it.training;
  plan.train({.comm = comm,
              .reducer = reducer,
              .statistics = it.statistics,
              .fixed = fixed,
              .node_gradients = it.node_gradients,
              .gradients = it.node_gradients.front(),
              .batch = batch,
              .step = step},
             loss);
  const BatchSums sums = it.meet_loss(comm, batch.global, losses);
  const bool updates = !it.frozen && !it.options.running_statistics.empty();
  const std::string bad_layer = updates ? it.statistics.update(comm, it.running) : "";

  // All of this is the same on every worker, so all of them leave together.
  if (!bad_layer.empty()) {
    throw DivergedError(
        fmt::format("step {}: the batch statistics of layer '{}' are not finite", step + 1, bad_layer));
  }
  if (!std::isfinite(sums.loss)) {
    throw DivergedError(fmt::format("step {}: the loss behind the last layer, '{}', is {}", step + 1,
                                    it.graph.nodes.back().layer->name(), sums.loss));
  }
  if (const std::string bad = it.first_bad_gradient(); !bad.empty()) {
    throw DivergedError(fmt::format("step {}: the gradient of '{}' is not finite", step + 1, bad));
  }
  return sums;
}

BatchSums Model::evaluate(Communicator& comm, const BatchInput& batch, std::size_t entry) {
  Impl& it = *impl_;
  std::vector<LossSums> losses(batch.shards.size());
  it.inference.infer(batch.shards, it.running_affines(entry),
                     [&](std::size_t shard, const float* logits, float*) {
                       losses[shard] = it.loss(batch.shards[shard], logits, nullptr, batch.global, 0.0);
                     });
  return it.meet_loss(comm, batch.global, losses);
}

void Model::freeze_statistics() {
  impl_->frozen = true;
}

BatchSums Model::evaluate_by_batch(Communicator& comm, const BatchInput& batch) {
  Impl& it = *impl_;
  std::vector<LossSums> losses(batch.shards.size());
  it.observation.observe(comm, it.statistics, batch, [&](std::size_t shard, const float* logits, float*) {
    losses[shard] = it.loss(batch.shards[shard], logits, nullptr, batch.global, 0.0);
  });
  return it.meet_loss(comm, batch.global, losses);
}

void Model::make_precise(Communicator& comm, const std::function<const BatchInput*()>& next) {
  Impl& it = *impl_;
  if (it.norms.empty()) return;
  PopulationMoments population(it.norms);
  std::int64_t batches = 0;
  while (const BatchInput* batch = next()) {
    it.observation.observe(comm, it.statistics, *batch, [](std::size_t, const float*, float*) {});
    it.statistics.add_to(comm, population);
    ++batches;
  }
  const std::string bad_layer = it.running.set_precise(population, batches);
  if (!bad_layer.empty()) {
    throw DivergedError(fmt::format("the precise statistics of layer '{}' are not finite", bad_layer));
  }
}

void Model::predict(const ShardInput& shard, std::size_t entry, std::span<float> logits) {
  Impl& it = *impl_;
  it.inference.infer({&shard, 1}, it.running_affines(entry), [&](std::size_t, const float* values, float*) {
    std::copy_n(values, logits.size(), logits.begin());
  });
}

std::string Model::describe_plan() {
  return describe(impl_->training.program());
}

std::uint64_t state_bytes(const ModelOptions& options) {
  const Graph graph = build_graph(options.spec, options.input, options.classes, options.seed);
  std::uint64_t bytes = 0;
  for (const Node& node : graph.nodes) {
    for (const Parameter& parameter : node.layer->parameters()) bytes += parameter.count() * sizeof(float);
  }
  for (const BatchNorm* norm : norms_of(graph)) {
    const std::uint64_t buffers = 2 * static_cast<std::uint64_t>(norm->channels()) * sizeof(float);
    bytes += options.running_statistics.size() * (buffers + sizeof(std::int64_t));
  }
  return bytes;
}

}  // namespace lockstep
